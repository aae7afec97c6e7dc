"""``evaluate``: strict and loose, the only language."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.driver import Driver, run

LOOSE = "{evaluate: {mode: loose}, do: [TASK]}"


def value(text: str, input: Any) -> Any:
    return run(LOOSE.replace("TASK", f"{{a: {{set: {{v: {text}}}}}}}"), input).output["v"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'${ .n }'", 3),
        (".n", 3),
        ("'.n + 1'", 4),
        ("'$input.n'", 3),
        ("'$nobody'", "$nobody"),
        ("hello world", "hello world"),
        ("'https://example.com/{id}'", "https://example.com/{id}"),
        (".n.x", ".n.x"),
        ("'${ .n.x }'", "${ .n.x }"),
        ("'n is ${ .n }!'", "n is 3!"),
        ("'[.n, \"'' | @sh\"]'", [3, "' | @sh"]),
        ("'@sh \"\\(.n)\"'", "3"),
        ("'@sh \"\\([[.n]])\"'", '@sh "\\([[.n]])"'),
        ("'1.5'", 1.5),
        ("''", ""),
    ],
)
def test_in_loose_mode_any_text_is_tried_and_stays_if_it_fails(text: str, expected: Any) -> None:
    assert value(text, {"n": 3}) == expected


def test_in_strict_mode_only_what_is_enclosed_is_an_expression() -> None:
    assert run("do: [{a: {set: {v: .n}}}]", {"n": 3}).output == {"v": ".n"}


def test_expression_fields_still_fail_in_loose_mode() -> None:
    task = "{a: {set: 1, output: {as: .x.y}}}"
    assert run(LOOSE.replace("TASK", task)).failure.type.endswith("/expression")


def test_what_only_says_how_a_call_is_made_is_left_alone() -> None:
    with_ = (
        "{method: get, endpoint: 'http://x', output: keys, query: {q: .n}, body: {b: [.n, add]}}"
    )
    task = f"{{c: {{call: http, with: {with_}}}}}"
    driver = Driver(LOOSE.replace("TASK", task), {"n": 3}).begin()
    assert driver.dispatched[0].arguments == {
        "method": "get",
        "endpoint": "http://x",
        "output": "keys",
        "query": {"q": 3},
        "body": {"b": [3, 3]},
    }


@pytest.mark.parametrize(
    ("task", "result"),
    [
        ("{c: {call: f, with: {a: .n}}}", {"a": 3}),
        ("{d: {do: [{c: {call: f, with: {a: .n}}}]}}", {"a": 3}),
    ],
)
def test_arguments_of_functions_are_values(task: str, result: Any) -> None:
    driver = Driver(LOOSE.replace("TASK", task), {"n": 3}).begin()
    assert driver.dispatched[0].arguments == result


def test_only_the_data_of_an_event_is_loose() -> None:
    task = "{e: {emit: {event: {with: {source: add, type: keys, data: {n: .n}}}}}}"
    (event,) = run(LOOSE.replace("TASK", task), {"n": 3}).published
    assert (event["source"], event["type"], event["data"]) == ("add", "keys", {"n": 3})


def test_the_definition_that_a_task_sees_is_as_written() -> None:
    task = "{a: {set: {v: $task.definition.set.v}}}"
    assert run(LOOSE.replace("TASK", task)).output == {"v": "$task.definition.set.v"}


@pytest.mark.parametrize(
    ("evaluate", "instance"),
    [("{language: js}", "/evaluate/language"), ("{mode: sloppy}", "/evaluate/mode")],
)
def test_what_cannot_be_evaluated_faults_the_workflow(evaluate: str, instance: str) -> None:
    failure = run(f"{{evaluate: {evaluate}, do: [{{a: {{set: 1}}}}]}}").failure
    assert (failure.instance, failure.status) == (instance, 400)


def test_the_documents_tags_are_those_of_its_executions() -> None:
    driver = Driver("do: [{c: {call: f}}]")
    value: dict[str, Any] = dict(driver.env.workflow.value)
    value["document"] = {**value["document"], "tags": {"team": "a", "tier": 1}}
    driver = Driver(value)
    driver.start = type(driver.start)(
        id="x1", workflow=driver.env.workflow.ref, tags={"team": "b", "x": "y"}
    )
    assert driver.begin().live.tags == {"team": "b", "tier": "1", "x": "y"}
