"""State data: what is merged, filtered and handed on, by running what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.converting import FUNCTIONS, InTurn, cleanly, run

STATE = {"order": {"id": 7, "tags": ["a"]}, "total": 1}


def charged(action: str = "", input: Any = STATE, result: Any = None, rest: str = "") -> Any:
    text = f"""
{FUNCTIONS}
states:
- {{name: s, type: operation, end: true, actions: [{{functionRef: charge{action}}}]{rest}}}
"""
    return run(text, input, charge=result).output


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"paid": True}, {**STATE, "paid": True}),
        ({"order": {"id": 8}}, {"order": {"id": 8, "tags": ["a"]}, "total": 1}),
        ({"order": {"tags": ["a", "b"]}}, {"order": {"id": 7, "tags": ["a", "b"]}, "total": 1}),
        ({"order": None}, {"order": None, "total": 1}),
        ({"total": {"net": 1}}, {"order": STATE["order"], "total": {"net": 1}}),
        ({}, STATE),
    ],
)
def test_a_result_is_merged_into_the_state_data(result: Any, expected: Any) -> None:
    assert charged(result=result) == expected


@pytest.mark.parametrize("result", [None, "done", 5, ["x"], False])
def test_a_result_that_is_no_object_has_no_place_at_the_top(result: Any) -> None:
    assert charged(result=result) == STATE


@pytest.mark.parametrize(
    ("wanted", "result", "expected"),
    [
        ("{toStateData: .receipt}", {"n": 1}, {**STATE, "receipt": {"n": 1}}),
        ("{toStateData: '${ .receipt }', results: '${ .n }'}", {"n": 1}, {**STATE, "receipt": 1}),
        ("{toStateData: .order.tags}", ["a", "b"],
         {"order": {"id": 7, "tags": ["a", "b"]}, "total": 1}),
        ("{toStateData: .a.b}", 3, {**STATE, "a": {"b": 3}}),
        ("{results: '${ {sum: .n} }'}", {"n": 1}, {**STATE, "sum": 1}),
        ("{results: '.items[0] # the first'}", {"items": [{"n": 2}]}, {**STATE, "n": 2}),
        ("{useResults: false, toStateData: .x}", {"n": 1}, STATE),
    ],
)  # fmt: skip
def test_action_filters_say_what_goes_where(wanted: str, result: Any, expected: Any) -> None:
    assert charged(f", actionDataFilter: {wanted}", result=result) == expected


def test_arguments_see_only_what_the_action_filter_lets_through() -> None:
    text = f"""
{FUNCTIONS}
states:
- name: s
  type: operation
  end: true
  actions:
  - functionRef: {{refName: charge, arguments: {{id: "${{ .id }}", all: ["${{ . }}", "x"]}}}}
    actionDataFilter: {{fromStateData: "${{ .order }}"}}
"""
    driver = run(text, STATE, charge={"id": 9})
    assert driver.dispatched[0].arguments["parameters"] == {"id": 7, "all": [STATE["order"], "x"]}
    assert driver.output == {**STATE, "id": 9}


def test_state_filters_stand_before_and_behind_the_actions() -> None:
    rest = ", stateDataFilter: {input: '${ .order }', output: '${ {id, paid} }'}"
    assert charged(result={"paid": True}, rest=rest) == {"id": 7, "paid": True}


def test_each_action_sees_the_results_of_those_before() -> None:
    text = f"""
{FUNCTIONS}
states:
- name: s
  type: operation
  end: true
  actions:
  - functionRef: charge
  - functionRef: {{refName: notify, arguments: {{receipt: "${{ .receipt }}"}}}}
"""
    driver = run(text, {"a": 1}, charge={"receipt": 5}, notify={"sent": True})
    assert driver.output == {"a": 1, "receipt": 5, "sent": True}
    assert driver.dispatched[1].arguments["parameters"] == {"receipt": 5}


def test_actions_at_the_same_time_change_only_what_they_return() -> None:
    text = f"""
{FUNCTIONS}
states:
- name: s
  type: operation
  actionMode: parallel
  end: true
  actions:
  - {{functionRef: charge}}
  - {{functionRef: refund, condition: "${{ .never }}"}}
  - {{functionRef: notify, actionDataFilter: {{toStateData: .log}}}}
"""
    state = {"total": 1, "log": ["x"], "keep": [1]}
    driver = run(text, state, charge={"total": 2, "keep": [2]}, notify=["y"])
    assert driver.output == {"total": 2, "log": ["x", "y"], "keep": [1, 2]}
    assert len(driver.dispatched) == 2


def test_an_action_whose_condition_fails_is_left_out() -> None:
    assert charged(', condition: "${ .total > 1 }"') == STATE
    assert charged(", condition: .total == 1", result={"a": 1}) == {**STATE, "a": 1}


@pytest.mark.parametrize(
    ("data", "input", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}, "d": 3}, {"a": {"b": 1, "c": 2}, "d": 3}),
        ({"list": [1, 2]}, {"list": [0, 1]}, {"list": [0, 1, 2]}),
        ({}, {"a": 1}, {"a": 1}),
    ],
)
def test_injected_data_is_merged(data: Any, input: Any, expected: Any) -> None:
    text = f"states: [{{name: s, type: inject, data: {data}, end: true}}]"
    assert run(text, input).output == expected


def test_an_inject_state_is_easy_to_read() -> None:
    document = cleanly("states: [{name: s, type: inject, data: {a: {b: 1}}, end: true}]")
    assert document["do"] == [
        {"s": {"set": {"a": {"b": 1}}, "output": {"as": "${ $task.input * . }"}}}
    ]


FOREACH = f"""
{FUNCTIONS}
states:
- name: s
  type: foreach
  mode: sequential
  inputCollection: "${{ .orders }}"
  iterationParam: order
  outputCollection: "${{ .done }}"
  end: true
  actions:
"""
ORDERS = {"orders": [{"n": 1}, {"n": 2}], "by": "ada"}
CHARGE = '{functionRef: {refName: charge, arguments: {n: "${ .order.n }", by: "${ .by }"}}'


def doubled(arguments: Any) -> Any:
    return {"twice": arguments["n"] * 2}


def test_the_results_of_iterations_are_collected() -> None:
    driver = run(f"{FOREACH}  - {CHARGE}}}", ORDERS, charge=doubled)
    assert driver.output == {**ORDERS, "done": [{"twice": 2}, {"twice": 4}]}
    assert driver.dispatched[1].arguments["parameters"] == {"n": 2, "by": "ada"}


@pytest.mark.parametrize(
    ("more", "done"),
    [
        (", actionDataFilter: {results: .twice}", [2, 4]),
        (", actionDataFilter: {results: .twice, toStateData: .order.m}",
         [{"order": {"m": 2}}, {"order": {"m": 4}}]),
        (', condition: "${ .order.n > 1 }"', [{"twice": 4}]),
        (", sleep: {before: PT1S}", [{"twice": 2}, {"twice": 4}]),
    ],
)  # fmt: skip
def test_what_is_collected_is_the_result_of_the_action(more: str, done: Any) -> None:
    driver = run(f"{FOREACH}  - {CHARGE}{more}}}", ORDERS, charge=doubled)
    assert driver.output == {**ORDERS, "done": done}


def test_results_that_nobody_wants_are_not_collected() -> None:
    more = ", actionDataFilter: {useResults: false}"
    assert run(f"{FOREACH}  - {CHARGE}{more}}}", ORDERS, charge=doubled).output == ORDERS


def test_the_result_of_several_actions_is_what_they_added() -> None:
    text = f"{FOREACH}  - {CHARGE}}}\n  - {{functionRef: notify}}\n"
    output = run(text, ORDERS, charge=doubled, notify=InTurn({"a": 1}, {"a": 2})).output
    assert output["done"] == [{"twice": 2, "a": 1}, {"twice": 4, "a": 2}]


def test_iterations_without_a_collection_leave_the_state_data() -> None:
    text = f"{FOREACH}  - {CHARGE}}}".replace('outputCollection: "${ .done }"', "metadata: {a: 1}")
    assert run(text, ORDERS, charge=doubled).output == ORDERS


PARALLEL = f"""
{FUNCTIONS}
states:
- name: s
  type: parallel
  end: true
  branches:
  - name: one
    actions: [{{functionRef: charge}}, {{functionRef: notify}}]
  - {{name: two, actions: [{{functionRef: refund}}]}}
"""


def test_branches_change_only_what_they_return() -> None:
    results = {"charge": {"a": 1, "both": {"x": 1}}, "notify": {"a": 2}}
    driver = run(PARALLEL, {"a": 0, "b": 0}, refund={"b": 3, "both": {"y": 2}}, **results)
    assert driver.output == {"a": 2, "b": 3, "both": {"x": 1, "y": 2}}


def test_one_branch_can_be_enough() -> None:
    text = PARALLEL + "  completionType: atLeast\n  numCompleted: 1\n"
    driver = run(text, {"a": 0}, charge={"c": 1}, notify={}, refund={"b": 1})
    assert driver.output in ({"a": 0, "b": 1}, {"a": 0, "c": 1})


def test_constants_secrets_and_functions_are_found_in_expressions() -> None:
    text = """
constants: {limits: {adult: 18}}
functions:
- {name: is adult, type: expression, operation: "${ .age >= $CONST.limits.adult }"}
- {name: word, type: expression, operation: 'if fn:is adult then "yes" else "fn:is adult" end'}
- {name: grow, type: expression, operation: ".age + 1"}
states:
- name: s
  type: operation
  end: true
  actions:
  - {functionRef: grow, actionDataFilter: {toStateData: .age}}
  - {functionRef: word, actionDataFilter: {results: '{word: "\\(.) \\(fn:text)"}'}}
"""
    text = text.replace(
        "functions:\n", "functions:\n- {name: text, type: expression, operation: '3'}\n"
    )
    assert run(text, {"age": 17}).output == {"age": 18, "word": "yes 3"}
    assert run(text, {"age": 3}).output == {"age": 4, "word": "fn:is adult 3"}
