"""Sequences, conditions, directives: in which order tasks run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.driver import run

COLOURS = """
do:
- red: {set: {c: '${ .c + ["red"] }'}, then: THEN}
- green: {set: {c: '${ .c + ["green"] }'}, then: end}
- blue: {set: {c: '${ .c + ["blue"] }'}, then: green}
"""


@pytest.mark.parametrize(
    ("then", "colours"),
    [
        ("continue", ["red", "green"]),
        ("blue", ["red", "blue", "green"]),
        ("exit", ["red"]),
        ("end", ["red"]),
    ],
)
def test_a_directive_says_where_to_go_on(then: str, colours: list[str]) -> None:
    assert run(COLOURS.replace("THEN", then)).output == {"c": colours}


def test_the_history_of_one_task_is_created_started_completed() -> None:
    assert run("do: [{a: {set: {x: 1}}}]").types() == [
        "workflow.started",
        "task.created /do/0/a",
        "task.started /do/0/a",
        "task.completed /do/0/a",
        "workflow.completed",
    ]


def test_an_empty_workflow_gives_its_input_back() -> None:
    assert run("do: []", {"a": 1}).output == {"a": 1}


def test_set_replaces_and_does_not_merge() -> None:
    assert run("do: [{a: {set: {x: 1}}}, {b: {set: {y: '${ .x }'}}}]").output == {"y": 1}


def test_set_of_an_expression_may_give_any_type() -> None:
    assert run("do: [{a: {set: '${ [.n, null, true] }'}}]", {"n": 3}).output == [3, None, True]


def test_a_bare_text_in_set_is_no_expression() -> None:
    assert run("do: [{a: {set: {x: .y}}}]").output == {"x": ".y"}


def test_a_do_task_gives_the_output_of_its_last_subtask() -> None:
    text = "do: [{d: {do: [{a: {set: '${ .n + 1 }'}}, {b: {set: '${ . * 10 }'}}]}}]"
    assert run(text, {"n": 1}).output == 20


def test_an_exit_ends_only_its_own_scope() -> None:
    text = """
do:
- d: {do: [{a: {set: 1, then: exit}}, {b: {set: 2}}]}
- c: {set: '${ . + 10 }'}
"""
    driver = run(text)
    assert (driver.output, driver.started()) == (11, ["d", "a", "c"])


def test_an_end_ends_the_workflow_from_any_depth() -> None:
    text = """
do:
- d: {do: [{e: {do: [{a: {set: 1, then: end}}]}}, {b: {set: 2}}]}
- c: {set: 3}
"""
    driver = run(text)
    assert (driver.output, driver.started()) == (1, ["d", "e", "a"])
    assert driver.types()[-3:] == [
        "task.completed /do/0/d/do/0/e",
        "task.completed /do/0/d",
        "workflow.completed",
    ]


def test_the_output_transformation_applies_after_an_end_too() -> None:
    text = "{do: [{d: {do: [{a: {set: {n: 2}, then: end}}]}}], output: {as: '{m: .n}'}}"
    assert run(text).output == {"m": 2}


def test_a_task_whose_condition_fails_passes_its_raw_input_on() -> None:
    text = """
do:
- a: {if: .no, input: {from: .no}, set: {x: 1}, output: {as: .x}, export: {as: .x}, then: end}
- b: {set: '${ [., $context] }'}
"""
    driver = run(text, {"no": False})
    assert driver.output == [{"no": False}, None]
    assert driver.started() == ["b"]
    assert "task.skipped /do/0/a" in driver.types()


@pytest.mark.parametrize(("value", "runs"), [(0, True), ("", True), (None, False), (False, False)])
def test_only_false_and_null_are_not_true(value: Any, runs: bool) -> None:
    assert bool(run("do: [{a: {if: .v, set: 1}}]", {"v": value}).started()) is runs


def test_a_skipped_last_task_ends_the_scope() -> None:
    assert run("do: [{d: {do: [{a: {if: 'false', set: 1}}]}}]", 5).output == 5


def test_names_belong_to_their_scope() -> None:
    text = """
do:
- a: {set: 1, then: c}
- d: {do: [{a: {set: 5}}, {c: {set: '${ . + 1 }'}}]}
- c: {set: '${ . * 100 }', then: exit}
"""
    assert run(text).output == 100


@pytest.mark.parametrize("then", ["nowhere", "inner"])
def test_a_directive_to_an_unknown_name_is_a_configuration_error(then: str) -> None:
    text = f"do: [{{a: {{set: 1, then: {then}}}}}, {{d: {{do: [{{inner: {{set: 1}}}}]}}}}]"
    failure = run(text).failure
    assert failure.type.endswith("/configuration")
    assert failure.instance == "/do/0/a"


COUNTDOWN = """
do:
- count: {set: {n: '${ .n - 1 }'}}
- call: {call: log}
- again:
    switch:
    - more: {when: .n > 0, then: count}
- done: {set: {n: '${ .n }', done: true}}
"""


def test_a_jump_back_runs_tasks_again_under_new_keys() -> None:
    driver = run(COUNTDOWN, {"n": 3}, {"log": lambda task: task_input(driver_inputs, task)})
    assert driver.output == {"n": 0, "done": True}
    keys = [task.key for task in driver.dispatched]
    assert keys == ["x1:/do/1/call", "x1:/do/1/call#~0x1", "x1:/do/1/call#~0x2"]
    assert len({task.task for task in driver.dispatched}) == 3


driver_inputs = iter([{"n": 2}, {"n": 1}, {"n": 0}])


def task_input(values: Any, task: Any) -> Any:
    return next(values)


def test_re_entries_of_nested_scopes_do_not_mix_up_keys() -> None:
    text = """
do:
- outer:
    do:
    - inner: {call: f}
    - back: {switch: [{again: {when: '. % 2 == 1', then: inner}}]}
- far: {switch: [{again: {when: '. < 4', then: outer}}]}
"""
    numbers = iter([1, 2, 3, 4])
    driver = run(text, 0, {"f": lambda _: next(numbers)})
    keys = [task.key.removeprefix("x1:/do/0/outer/do/0/inner") for task in driver.dispatched]
    assert keys == ["", "#~1x1", "#~0x1", "#~0x1~1x1"]


SWITCH = """
do:
- choose:
    switch:
    - other: {then: fallback}
    - red: {when: '.c == "red"', then: hot}
    - reddish: {when: '.c | startswith("red")', then: warm}
- hot: {set: hot, then: end}
- warm: {set: warm, then: end}
- fallback: {set: '${ $input.c + "!" }'}
"""


@pytest.mark.parametrize(
    ("colour", "output"), [("red", "hot"), ("reddest", "warm"), ("blue", "blue!")]
)
def test_a_switch_takes_the_first_case_that_holds_and_the_default_last(
    colour: str, output: str
) -> None:
    assert run(SWITCH, {"c": colour}).output == output


def test_a_switch_without_a_match_uses_its_own_then_and_passes_its_input_on() -> None:
    text = """
do:
- choose: {switch: [{a: {when: .a, then: next}}], then: end}
- next: {set: 1}
"""
    assert run(text, {"b": 1}).output == {"b": 1}


def test_a_failing_condition_fails_the_task() -> None:
    failure = run("do: [{a: {if: '.x.y', set: 1}}]", {"x": 3}).failure
    assert failure.type.endswith("/expression")
    assert (failure.status, failure.instance) == (400, "/do/0/a")


def test_pointers_escape_the_names_of_tasks() -> None:
    assert run("do: [{'a/b~c': {raise: {error: {type: 'x:y', status: 1}}}}]").failure.instance == (
        "/do/0/a~1b~0c"
    )
