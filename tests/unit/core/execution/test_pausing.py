"""Executions that are suspended because of errors, and workflows that are told of it."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Resume, Start
from flunq.core.execution.fold import fold
from flunq.core.execution.suspending import HOOK_TAG
from tests.support.driver import Driver, error

HEAD = "document: {dsl: 1.0.3, namespace: n, name: w, version: 1.0.0, metadata: METADATA}\n"
TRIES = (
    "do: [{t: {try: [{c: {call: f}}], "
    "catch: {retry: {delay: {minutes: 4}, limit: {attempt: {count: 9}}}}}}]"
)


def driver_of(metadata: str, body: str = TRIES, **arguments: Any) -> Driver:
    return Driver(HEAD.replace("METADATA", metadata) + body, 7, **arguments).begin()


def fail(driver: Driver, times: int = 1) -> None:
    for _ in range(times):
        driver.report(driver.queue.pop().task, error("communication", 503))
        while driver.live.timers and not driver.live.suspended:
            driver.fire()


def test_an_execution_is_suspended_after_so_many_failed_attempts() -> None:
    driver = driver_of("{pause: {after: 3}}")
    fail(driver, 2)
    assert not driver.live.suspended
    fail(driver)
    assert (driver.live.status, driver.live.reason) == ("suspended", "3 attempts failed")
    assert driver.types()[-2:] == ["workflow.suspended", "task.suspended /do/0/t"]


def test_only_failures_within_the_time_count() -> None:
    driver = driver_of("{pause: {after: 2, within: PT3M}}")
    fail(driver, 5)
    assert not driver.live.suspended
    close = driver_of("{pause: {after: 2, within: PT5M}}")
    fail(close, 2)
    assert close.live.reason == "2 attempts failed within PT5M"


def test_it_goes_on_where_it_was_and_counts_anew() -> None:
    driver = driver_of("{pause: {after: 2}}")
    fail(driver, 2)
    driver.send(Resume(id=driver.live.id))
    driver.fire()
    assert (driver.live.failed, len(driver.queue)) == ([], 1)
    fail(driver)
    assert not driver.live.suspended
    driver.report(driver.queue.pop().task, 5)
    assert driver.output == 5


def test_the_fold_of_its_history_is_its_state() -> None:
    driver = driver_of("{pause: {after: 2}}")
    fail(driver, 2)
    state = None
    for event in driver.events:
        state = fold(state, event)
    assert state == driver.live


def starts(driver: Driver) -> list[Start]:
    return [command for command in driver.told if isinstance(command, Start)]


def test_a_pause_starts_the_workflow_of_its_hook() -> None:
    driver = driver_of("{pause: {after: 1}, hooks: {paused: 'ops/tell:2.0.0'}}")
    fail(driver)
    [start] = starts(driver)
    assert str(start.workflow) == "ops/tell:2.0.0"
    assert start.input == {
        "execution": driver.live.id,
        "workflow": "n/w:1.0.0",
        "status": "paused",
        "reason": "1 attempt failed",
    }
    assert start.tags == {HOOK_TAG: driver.live.id}


@pytest.mark.parametrize(
    ("body", "moment", "told"),
    [
        ("do: [{a: {set: {x: 1}}}]", "completed", {"output": {"x": 1}}),
        ("do: [{a: {raise: {error: {type: u, status: 500}}}}]", "faulted", {"error": 500}),
    ],
)
def test_each_end_starts_the_workflow_that_wants_to_know(
    body: str, moment: str, told: dict[str, Any]
) -> None:
    driver = driver_of(f"{{hooks: {{{moment}: tell}}}}", body)
    [start] = starts(driver)
    assert (start.workflow.name, start.input["status"]) == ("tell", moment)
    for name, value in told.items():
        found = start.input[name]
        assert value == (found["status"] if name == "error" else found)
    other = "faulted" if moment == "completed" else "completed"
    assert starts(driver_of(f"{{hooks: {{{other}: tell}}}}", body)) == []


def test_what_a_hook_has_started_starts_no_hooks() -> None:
    driver = Driver(HEAD.replace("METADATA", "{hooks: {completed: w}}") + "do: []", 7)
    driver.start = Start(id="e2", workflow=driver.start.workflow, input={}, tags={HOOK_TAG: "e1"})
    driver.begin()
    assert (driver.live.status, starts(driver)) == ("completed", [])


def test_metadata_that_mean_something_else_mean_nothing_to_the_engine() -> None:
    driver = driver_of("{pause: often, hooks: [x]}", "do: []")
    assert driver.live.status == "completed"
