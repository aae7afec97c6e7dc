"""Calls: what executors are asked to do, and functions of the document."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.effects import Arm
from flunq.core.execution.recover import open_effects
from tests.support.driver import BASE, Driver, error, run


def asked(text: str, input: Any = None) -> Any:
    return Driver(text, input).begin().dispatched[0].arguments


def test_arguments_are_evaluated_on_the_transformed_input() -> None:
    text = "do: [{c: {input: {from: .o}, call: f, with: {n: '${ .n }', list: [1, '${ $input }']}}}]"
    assert asked(text, {"o": {"n": 4}}) == {"n": 4, "list": [1, {"n": 4}]}


def test_a_function_without_arguments_gets_none() -> None:
    driver = Driver("do: [{c: {call: greet}}]").begin()
    (task,) = driver.dispatched
    assert (task.kind, task.arguments, task.attempt) == ("function:greet", {}, 1)
    assert (task.key, task.reference) == ("x1:/do/0/c", "/do/0/c")


@pytest.mark.parametrize(
    ("endpoint", "expanded"),
    [
        ("https://x/{id}", "https://x/7"),
        ("https://x/{a b}/{none}/{pet.id}", "https://x/%2F%C3%A9%20%3F//q"),
        ("https://x/{yes}/{half}/{whole}", "https://x/true/0.5/2"),
        ("{uri: 'https://x/{id}'}", {"uri": "https://x/7"}),
        ("'${ \"https://x/{id}\" }'", "https://x/{id}"),
    ],
)
def test_uri_templates_are_expanded_from_the_input(endpoint: str, expanded: Any) -> None:
    text = f"do: [{{c: {{call: http, with: {{method: get, endpoint: {quoted(endpoint)}}}}}}}]"
    value = {"id": 7, "a b": "/é ?", "pet.id": "q", "yes": True, "half": 0.5, "whole": 2.0}
    assert asked(text, value) == {"method": "get", "endpoint": expanded}


def quoted(endpoint: str) -> str:
    return f"'{endpoint}'" if endpoint.startswith("http") else endpoint


def test_an_object_in_a_uri_template_is_an_expression_error() -> None:
    text = "do: [{c: {call: http, with: {method: get, endpoint: 'https://x/{o}'}}}]"
    failure = run(text, {"o": {}}).failure
    assert (failure.type, failure.status) == (BASE + "expression", 400)


@pytest.mark.parametrize(
    ("endpoint", "value"),
    [
        ("https://x/pets/{id}", ".."),
        ("https://x/pets/{id}/toys", "."),
        ("https://x/pets/.{id}?a=1", "."),
        ("https://x/pets/{id}{none}", ".."),
    ],
)
def test_a_value_in_a_uri_cannot_climb(endpoint: str, value: str) -> None:
    text = f"do: [{{c: {{call: http, with: {{method: get, endpoint: '{endpoint}'}}}}}}]"
    failure = run(text, {"id": value}).failure
    assert (failure.type, failure.status) == (BASE + "expression", 400)


@pytest.mark.parametrize("value", ["...", "../..", "a..", "%2e%2e", ".a"])
def test_dots_that_do_not_climb_are_values_like_others(value: str) -> None:
    text = "do: [{c: {call: http, with: {method: get, endpoint: 'https://x/../p/{id}?q={id}'}}}]"
    assert asked(text, {"id": value})["endpoint"].startswith("https://x/../p/")


def test_reusable_authentication_is_sent_along() -> None:
    text = """
use: {authentications: {pets: {basic: {username: me, password: '${ .p }'}}}}
do:
- c:
    call: http
    with: {method: get, endpoint: {uri: 'https://x', authentication: {use: pets}}}
"""
    policy = asked(text, {"p": "s"})["endpoint"]["authentication"]
    assert policy == {"basic": {"username": "me", "password": "s"}}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("'https://x/{a}'", "https://x/1"),
        ("{uri: 'https://x/{a}'}", {"uri": "https://x/1"}),
        (
            "{uri: '${ .b }', authentication: {use: pets}}",
            {"uri": "https://y", "authentication": {"bearer": {"token": "t"}}},
        ),
    ],
)
def test_openapi_has_policies_and_a_template_in_their_places(endpoint: str, expected: Any) -> None:
    text = f"""
use: {{authentications: {{pets: {{bearer: {{token: t}}}}}}}}
do:
- c:
    call: openapi
    with:
      document: {{endpoint: {endpoint}}}
      operationId: op
      parameters: {{n: '${{ .a }}'}}
      authentication: {{use: pets}}
"""
    arguments = asked(text, {"a": 1, "b": "https://y"})
    assert arguments["document"]["endpoint"] == expected
    assert arguments["authentication"] == {"bearer": {"token": "t"}}
    assert arguments["parameters"] == {"n": 1}


def test_a_reported_failure_gets_the_instance_of_its_task() -> None:
    text = "do: [{c: {call: f}}]"
    failure = run(text, None, {"f": error("communication", 404, instance="/else")}).failure
    assert (failure.status, failure.instance) == (404, "/do/0/c")


def test_the_first_report_counts() -> None:
    driver = Driver("do: [{c: {call: f}}, {d: {call: g}}]").begin()
    task = driver.queue[0].task
    driver.report(task, 1)
    assert driver.report(task, 2).events == []


FUNCTION = """
use:
  functions:
    double:
      input: {schema: {document: {required: [n]}}}
      set: '${ .n * 2 }'
do:
- l:
    for: {each: x, in: '[1,2]'}
    do:
    - c: {call: double, with: {WITH: '${ $x }'}, output: {as: '[$input, .]'}}
"""


def test_a_function_of_the_document_runs_on_its_arguments() -> None:
    assert run(FUNCTION.replace("WITH", "n"), 0).output == [[0, 2], 4]


def test_the_function_checks_its_input() -> None:
    failure = run(FUNCTION.replace("WITH", "m"), 0).failure
    assert (failure.type, failure.instance) == (BASE + "validation", "/use/functions/double")


def test_a_function_does_not_see_the_variables_of_its_caller() -> None:
    text = FUNCTION.replace("WITH", "n").replace(".n * 2", "$x")
    assert run(text, 0).failure.detail == "$x is not defined"


def test_calls_from_different_places_have_different_keys() -> None:
    text = """
use: {functions: {f: {call: g}}}
do: [{a: {call: f}}, {b: {call: f}}, {l: {for: {in: '[1,2]'}, do: [{c: {call: f}}]}}]
"""
    driver = run(text, None, {"g": 1})
    assert len({task.key for task in driver.dispatched}) == 4
    assert len({task.task for task in driver.dispatched}) == 4


def test_a_function_that_calls_itself_for_ever_fails() -> None:
    failure = run("{use: {functions: {f: {call: f}}}, do: [{a: {call: f}}]}").failure
    assert failure.type == BASE + "runtime"


@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("{call: 'f:1@catalog'}", "f:1@catalog"),
    ],
)
def test_what_this_version_cannot_run_is_a_configuration_error(task: str, named: str) -> None:
    failure = run(f"do: [{{a: {task}}}]").failure
    assert (failure.type, failure.status, failure.instance) == (
        BASE + "configuration", 400, "/do/0/a",
    )  # fmt: skip
    assert named in (failure.detail or "")


@pytest.mark.parametrize(
    ("extra", "instance"),
    [
        ("evaluate: {language: js}", "/evaluate/language"),
        ("evaluate: {mode: sloppy}", "/evaluate/mode"),
    ],
)
def test_what_concerns_every_task_is_refused_rather_than_ignored(extra: str, instance: str) -> None:
    failure = run(f"{{{extra}, do: [{{a: {{set: 1}}}}]}}").failure
    assert (failure.type, failure.instance) == (BASE + "configuration", instance)


def test_a_new_owner_dispatches_open_tasks_and_arms_timers_again() -> None:
    text = (
        "do: [{f: {fork: {branches: [{a: {call: a, timeout: {after: PT5S}}}, {w: {wait: PT1S}}]}}}]"
    )
    driver = Driver(text).begin()
    effects = open_effects(driver.live)
    assert effects[0] == driver.dispatched[0]
    assert {e.timer: e.due for e in effects if isinstance(e, Arm)} == driver.timers
