"""Cancel, suspend, resume, and commands that come twice or too late."""

from __future__ import annotations

import pytest

from flunq.core.execution.commands import (
    Cancel,
    Command,
    Continue,
    Fire,
    Report,
    Resume,
    Start,
    Suspend,
)
from flunq.core.execution.decide import decide
from flunq.errors import NotFoundError
from tests.support.driver import EPOCH, Driver, document, environment, error

TEXT = """
do:
- f: {fork: {branches: [{a: {call: a}}, {w: {wait: PT5S}}]}}
- after: {call: b}
"""
CANCEL, SUSPEND, RESUME = Cancel(id="x1"), Suspend(id="x1"), Resume(id="x1")


def test_a_cancel_stops_what_runs_and_ends_the_execution() -> None:
    driver = Driver(TEXT).begin()
    driver.send(Cancel(id="x1", reason="enough"))
    assert (driver.live.status, driver.live.reason) == ("cancelled", "enough")
    assert driver.withdrawn == [driver.dispatched[0].task]
    assert driver.timers == {}
    assert driver.types()[-4:] == [
        "task.cancelled /do/0/f/fork/branches/1/w",
        "task.cancelled /do/0/f/fork/branches/0/a",
        "task.cancelled /do/0/f",
        "workflow.cancelled",
    ]


def test_an_end_is_told_once() -> None:
    driver = Driver(TEXT).begin()
    driver.send(CANCEL)
    driver.send(CANCEL)
    (finish,) = driver.finished
    assert (finish.status, finish.execution) == ("cancelled", "x1")


@pytest.mark.parametrize(
    ("command", "rejected"),
    [
        (CANCEL, False),
        (SUSPEND, True),
        (RESUME, True),
        (Continue(id="x1"), False),
        (Fire(id="x1", timer="5w"), False),
        (Report(id="x1", task="x1.abc.1"), False),
    ],
)
def test_an_execution_that_has_ended_stays_as_it_is(command: Command, rejected: bool) -> None:
    driver = Driver(TEXT).begin()
    driver.send(CANCEL)
    decision = driver.send(command)
    assert (decision.events, decision.effects) == ([], [])
    assert (decision.rejection is not None) is rejected


def test_a_second_start_changes_nothing() -> None:
    driver = Driver(TEXT).begin()
    assert driver.send(driver.start).events == []


def test_a_command_to_an_unknown_execution_is_refused() -> None:
    with pytest.raises(NotFoundError):
        decide(None, CANCEL, EPOCH, environment(document(TEXT)), {})


def test_suspended_results_are_recorded_and_nothing_is_dispatched() -> None:
    driver = Driver(TEXT, None, {"b": "done"}).begin()
    driver.send(SUSPEND)
    assert driver.live.status == "suspended"
    driver.report(driver.queue.pop().task, 1)
    driver.fire()
    assert (driver.live.tasks, driver.live.timers, len(driver.dispatched)) == ({}, {}, 1)
    assert driver.types()[-2:] == [
        "task.reported /do/0/f/fork/branches/0/a",
        "timer.fired /do/0/f/fork/branches/1/w",
    ]
    driver.send(RESUME)
    assert [task.kind for task in driver.dispatched] == ["function:a", "function:b"]
    assert driver.run().output == "done"


def test_a_failure_while_suspended_counts_after_the_resume() -> None:
    driver = Driver(TEXT).begin()
    driver.send(SUSPEND)
    driver.report(driver.queue.pop().task, error("runtime"))
    assert driver.live.status == "suspended"
    driver.send(RESUME)
    assert driver.failure.instance == "/do/0/f/fork/branches/0/a"


def test_a_time_limit_that_passes_while_suspended_counts_after_the_resume() -> None:
    driver = Driver("do: [{a: {call: a, timeout: {after: PT1S}}}]").begin()
    driver.send(SUSPEND)
    driver.fire()
    assert driver.live.status == "suspended"
    assert driver.report(driver.queue[0].task, "in time?").events != []
    driver.send(RESUME)
    assert driver.failure.status == 408


def test_suspend_and_resume_twice_are_once() -> None:
    driver = Driver(TEXT).begin()
    assert driver.send(SUSPEND).events != []
    assert driver.send(SUSPEND).events == []
    assert driver.send(RESUME).events[0].type.endswith("workflow.resumed.v1")
    assert driver.send(RESUME).events == []


def test_the_running_tasks_are_told_to_be_suspended_and_resumed() -> None:
    driver = Driver(TEXT).begin()
    driver.send(SUSPEND)
    driver.send(RESUME)
    branches = ["/do/0/f", "/do/0/f/fork/branches/0/a", "/do/0/f/fork/branches/1/w"]
    told = [f"task.suspended {b}" for b in branches] + ["workflow.resumed"]
    assert driver.types()[-7:] == told + [f"task.resumed {b}" for b in branches]


def test_a_suspended_execution_can_be_cancelled() -> None:
    driver = Driver(TEXT).begin()
    driver.send(SUSPEND)
    driver.report(driver.queue[0].task, 1)
    driver.send(CANCEL)
    assert driver.live.status == "cancelled"


def test_the_status_tells_what_an_execution_is_at() -> None:
    driver = Driver("do: [{a: {call: a}}, {w: {wait: PT1S}}]", None, {"a": 1}).begin()
    assert driver.live.status == "running"
    driver.work()
    assert driver.live.status == "waiting"
    driver.fire()
    assert driver.live.status == "completed"


def test_a_state_that_has_ended_keeps_no_open_ends() -> None:
    driver = Driver(TEXT, {"big": [1] * 100}, {"a": 1, "b": 2}).run()
    state = driver.live
    open_ends = (state.frames, state.tasks, state.timers, state.ready, state.listeners)
    assert not any(open_ends)
    assert state.ended_at == driver.now


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_an_input_that_could_not_be_stored_is_refused() -> None:
    env = environment(document(TEXT))
    start = Start(id="x1", workflow=env.workflow.ref, input=nested(5_000))
    state, decision = decide(None, start, EPOCH, env, {})
    assert (state.seq, decision.events, decision.effects) == (0, [], [])
    assert decision.rejection is not None


@pytest.mark.parametrize("suspended", [False, True])
def test_a_result_that_could_not_be_stored_is_a_failure(suspended: bool) -> None:
    driver = Driver("do: [{a: {call: a}}]").begin()
    if suspended:
        driver.send(SUSPEND)
    driver.report(driver.queue[0].task, nested(5_000))
    driver.send(RESUME)
    assert driver.failure.type.endswith("/runtime")


def test_a_late_copy_of_a_suspension_does_not_undo_a_resumption() -> None:
    driver = Driver("do: [{x: {call: f, with: {}}}]", results={"f": 1}).begin()
    for command in (
        Suspend(id="x1", request="s1"),
        Suspend(id="x1", request="s2"),
        Resume(id="x1", request="r1"),
        Suspend(id="x1", request="s1"),
        Suspend(id="x1", request="s2"),
    ):
        driver.send(command)
        driver.reload()
    assert not driver.live.suspended
    driver.send(Suspend(id="x1", request="s3"))
    driver.send(Resume(id="x1", request="r1"))
    assert driver.live.suspended


def test_a_suspension_without_a_request_is_never_taken_for_a_copy() -> None:
    driver = Driver("do: [{x: {call: f, with: {}}}]", results={"f": 1}).begin()
    for command in (Suspend(id="x1"), Resume(id="x1"), Suspend(id="x1")):
        driver.send(command)
    assert driver.live.suspended
    assert driver.live.requests == []
