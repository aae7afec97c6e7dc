"""Executions whose workflow is paused, and the priority that a start gives to its tasks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flunq.core.execution.commands import Cancel, Resume, Start, Suspend
from flunq.core.execution.state import Begin
from flunq.core.flow import WorkflowPause
from tests.support.driver import Driver

ONE = "timeout: {after: PT1H}\ndo: [{c: {call: f, with: {n: '${ .n }'}}}, {d: {call: f}}]"
PAUSE = Suspend(id="x1", reason="workflow n/w is paused", pause="p1")


def started(text: str = ONE, **members: Any) -> Driver:
    driver = Driver(text, {"n": 4})
    driver.start = msgspec.structs.replace(driver.start, **members)
    return driver.begin()


def test_a_start_of_a_paused_workflow_is_recorded_and_does_nothing() -> None:
    driver = started(pause="p1", reason="why not")
    assert driver.types() == ["workflow.started", "workflow.suspended"]
    state = driver.live
    assert (state.status, state.pause, state.reason) == ("suspended", "p1", "why not")
    assert (state.ready, state.timers, driver.queue) == ([Begin()], {}, [])


def test_its_time_begins_when_it_does() -> None:
    driver = started(pause="p1")
    driver.now += 7_200_000_000
    driver.send(Resume(id="x1", pause="p1"))
    assert driver.live.timers["0t"] == driver.now + 3_600_000_000
    assert (driver.queue[0].arguments, driver.live.pause) == ({"n": 4}, "")


def test_only_the_end_of_its_own_pause_lets_it_go_on() -> None:
    driver = started(pause="p1")
    driver.send(Resume(id="x1", pause="p0"))
    assert (driver.live.status, len(driver.events)) == ("suspended", 2)


def test_what_runs_finishes_and_nothing_new_begins() -> None:
    driver = started()
    driver.send(PAUSE)
    driver.report(driver.queue.pop().task, 5)
    assert (driver.live.status, driver.queue) == ("suspended", [])
    driver.send(Resume(id="x1", pause="p1"))
    assert [task.reference for task in driver.queue] == ["/do/1/d"]


def test_who_suspends_what_a_pause_has_suspended_keeps_it_so() -> None:
    driver = started(pause="p1")
    driver.send(Suspend(id="x1", reason="mine", request="r1"))
    driver.send(Resume(id="x1", pause="p1"))
    assert (driver.live.status, driver.live.pause, driver.live.reason) == ("suspended", "", "mine")
    driver.send(Resume(id="x1", request="r2"))
    assert driver.live.status == "running"


def test_one_that_goes_on_despite_a_pause_says_so() -> None:
    driver = started(pause="p1")
    driver.send(Resume(id="x1", request="r1", despite="p1"))
    assert (driver.live.despite, len(driver.queue)) == ("p1", 1)
    driver.send(Cancel(id="x1"))
    assert (driver.live.status, driver.live.despite) == ("cancelled", "")


def test_the_next_pause_takes_over_from_one_that_is_over() -> None:
    driver = started(pause="p0")
    driver.send(PAUSE)
    assert driver.live.pause == "p1"
    driver.send(PAUSE)
    assert len(driver.events) == 3


@pytest.mark.parametrize(
    ("metadata", "priority", "found"),
    [("{}", None, None), ("{}", 9, 9), ("{priority: 7}", None, 7), ("{priority: 7}", 1, 1)],
)
def test_the_priority_of_a_start_is_that_of_its_tasks(
    metadata: str, priority: int | None, found: int | None
) -> None:
    driver = started(f"do: [{{c: {{call: f, metadata: {metadata}}}}}]", priority=priority)
    [task] = driver.queue
    assert (task.traffic.priority if task.traffic else None) == found
    assert driver.live.priority == priority


def test_children_inherit_the_priority() -> None:
    child = "do: [{r: {run: {workflow: {namespace: n, name: w, version: '1.0.0'}}}}]"
    [start] = started(child, priority=8).told
    assert isinstance(start, Start)
    assert start.priority == 8


def test_a_pause_concerns_a_version_or_all_of_them() -> None:
    ref = Driver(ONE).start.workflow
    every = WorkflowPause(id="p", namespace=ref.namespace, name=ref.name, since=0)
    other = msgspec.structs.replace(every, version="9.9.9")
    assert (every.concerns(ref), other.concerns(ref)) == (True, False)
    assert str(other) == f"{ref.namespace}/{ref.name}:9.9.9"
