"""Two executions side by side."""

from __future__ import annotations

import msgspec
import pytest

from flunq.client.diffing import Comparison, compare, side_of
from flunq.core.events import LazyEvent, encode_event
from flunq.core.protocol import Details
from tests.support.driver import Driver, error

LOOP = """
do:
- each: {for: {each: n, in: '.items'}, do: [{double: {set: {n: '${ $n * 2 }'}}}]}
- last: {if: '.n < 100', set: {done: true}}
"""
CALL = "do: [{t: {try: [{c: {call: f}}], catch: {retry: {limit: {attempt: {count: 3}}}}}}]"


def details(driver: Driver, execution: str) -> Details:
    state = driver.live
    return Details(
        id=execution, namespace="n", workflow="w", version="1", digest="", status=state.status,
        started_at=state.started_at, ended_at=state.ended_at, input=state.input,
        output=state.output, failure=state.failure,
    )  # fmt: skip


def compared(one: Driver, other: Driver) -> Comparison:
    sides = []
    for name, driver in (("a", one), ("b", other)):
        events = [msgspec.json.decode(encode_event(e), type=LazyEvent) for e in driver.events]
        sides.append(side_of(details(driver, name), events))
    return compare(*sides)


def loop(*items: int) -> Driver:
    return Driver(LOOP, {"items": list(items)}).begin().run()


def test_an_execution_is_the_same_as_itself() -> None:
    found = compared(loop(1, 2), loop(1, 2))
    assert found.equal
    assert found.first is None
    assert [task.task.rpartition("/")[2] for task in found.tasks] == [
        "each", "double", "double", "last",
    ]  # fmt: skip


def test_iterations_are_aligned_and_the_first_that_differs_is_named() -> None:
    found = compared(loop(1, 2), loop(1, 3))
    assert not found.equal
    doubles = [task for task in found.tasks if task.task.endswith("double")]
    assert [(task.path, len(task.output)) for task in doubles] == [("0", 0), ("1", 1)]
    assert found.first is not None
    assert found.first.task == "/do/0/each"
    assert [(d.path, d.before, d.after) for d in found.input] == [(".items[1]", 2, 3)]


def test_a_task_that_only_one_has_stands_where_it_has_it() -> None:
    found = compared(loop(1), loop(1, 2))
    [missing] = [task for task in found.tasks if None in task.status]
    assert (missing.path, missing.status) == ("1", (None, "completed"))


def test_a_skipped_task_differs_from_one_that_ran() -> None:
    found = compared(loop(1), loop(200))
    [last] = [task for task in found.tasks if task.task.endswith("last")]
    assert last.status == ("completed", "skipped")


@pytest.mark.parametrize("failures", [1, 2])
def test_attempts_are_told_apart(failures: int) -> None:
    one = Driver(CALL, 1, {"f": 5}).begin().run()
    other = Driver(CALL, 1).begin()
    for _ in range(failures):
        other.report(other.queue.pop().task, error("communication", 503))
    other.report(other.queue.pop().task, 5)
    found = compared(one, other)
    assert found.status == ("completed", "completed")
    assert found.tasks[0].tries == (1, failures + 1)
    assert not found.equal
