"""``for``: chained iterations."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Continue
from flunq.core.execution.state import Looping
from tests.support.driver import Driver, run


def loop(head: str, body: str = "{set: '${ . + [$item, $index] }'}", rest: str = "") -> str:
    return f"do: [{{l: {{for: {head}, do: [{{x: {body}}}] {rest}}}}}]"


def test_iterations_are_chained_and_see_item_and_index() -> None:
    text = """
do:
- l:
    for: {each: color, in: .colors, at: i}
    do:
    - mark: {set: {seen: '${ (.seen // []) + [$color, $i] }'}}
"""
    assert run(text, {"colors": ["red", "green"]}).output == {"seen": ["red", 0, "green", 1]}


def test_a_loop_over_nothing_gives_its_input() -> None:
    assert run(loop("{in: '[]'}"), {"a": 1}).output == {"a": 1}


def test_the_items_are_evaluated_once_on_the_transformed_input() -> None:
    text = loop("{in: '. + [2]'}", "{set: '${ [$item] }'}", ", input: {from: '[.n]'}")
    assert run(text, {"n": 1}).output == [2]


@pytest.mark.parametrize("items", [None, 3, "abc", {"a": 1}])
def test_items_must_be_an_array(items: Any) -> None:
    failure = run(loop("{in: .v}"), {"v": items}).failure
    assert failure.type.endswith("/expression")
    assert failure.instance == "/do/0/l"


@pytest.mark.parametrize(
    ("condition", "output"),
    [
        ("length < 4", [1, 0, 2, 1]),
        ("$item < 2", [1, 0]),
        ("$index < 1", [1, 0]),
        ("false", []),
    ],
)
def test_while_is_checked_before_each_iteration_on_the_current_data(
    condition: str, output: list[int]
) -> None:
    text = loop("{in: '[1,2,3]'}", rest=f", while: '{condition}', input: {{from: '[]'}}")
    assert run(text).output == output


def test_an_exit_in_the_body_ends_the_iteration() -> None:
    text = """
do:
- l:
    for: {in: '[1,2,3]'}
    do:
    - a: {set: '${ . + $item }'}
    - odd: {switch: [{skip: {when: '$item % 2 == 1', then: exit}}]}
    - b: {set: '${ . * 10 }'}
"""
    assert run(text, 0).output == 33


def test_an_end_in_the_body_ends_the_workflow() -> None:
    assert run(loop("{in: '[1,2,3]'}", "{set: '${ $item }', then: end}")).output == 1


def test_nested_loops_have_their_own_variables_and_keys() -> None:
    text = """
do:
- outer:
    for: {each: a, in: '[1,2]'}
    do:
    - inner:
        for: {each: b, in: '[10,20]'}
        do:
        - call: {call: f, with: {sum: '${ $a + $b }'}}
"""
    driver = run(text, 0, {"f": 0})
    assert [task.arguments["sum"] for task in driver.dispatched] == [11, 21, 12, 22]
    suffixes = [task.key.rsplit("#", 1)[1] for task in driver.dispatched]
    assert suffixes == ["0.0", "0.1", "1.0", "1.1"]


def test_loop_variables_are_not_visible_after_the_loop() -> None:
    text = "do: [{l: {for: {in: '[1]'}, do: [{x: {set: 1}}]}}, {b: {set: '${ $item }'}}]"
    assert run(text).failure.instance == "/do/1/b"


def test_a_failure_in_the_body_points_into_the_definition() -> None:
    text = loop("{in: '[1,2]'}", "{set: '${ if $item == 2 then error(\"no\") else . end }'}")
    assert run(text).failure.instance == "/do/0/l/do/0/x"


def test_a_backward_jump_in_the_body_counts_anew_in_each_iteration() -> None:
    text = """
do:
- l:
    for: {in: '[1,2]'}
    do:
    - x: {call: f}
    - again: {switch: [{more: {when: '. == 1', then: x}}]}
"""
    values = iter([1, 2, 1, 2])
    driver = run(text, 0, {"f": lambda _: next(values)})
    suffixes = [task.key.rsplit("#", 1)[1] for task in driver.dispatched]
    assert suffixes == ["0", "0~1x1", "1", "1~1x1"]


def test_the_items_are_kept_once_however_long_the_loop_is() -> None:
    driver = Driver(loop("{in: .l}", "{set: 0}"), {"l": list(range(400))})
    decision = driver._decide(driver.start)
    assert decision.more
    assert len(decision.events) > 256
    holders = [f for f in driver.live.frames.values() if isinstance(f.local, Looping)]
    assert len(holders) == 1
    driver.send(Continue(id="x1"))
    assert driver.output == 0
