"""Waits and time limits."""

from __future__ import annotations

import pytest

from flunq.core.execution.commands import Fire
from tests.support.driver import BASE, EPOCH, Driver, run


@pytest.mark.parametrize(
    ("duration", "micros"),
    [
        ("{seconds: 30}", 30_000_000),
        ("PT0.5S", 500_000),
        ("'${ .pause }'", 2_000_000),
        ("{milliseconds: 0}", 0),
    ],
)
def test_a_wait_passes_its_input_on_when_it_is_due(duration: str, micros: int) -> None:
    driver = run(f"do: [{{w: {{wait: {duration}}}}}]", {"pause": "PT2S"})
    assert driver.output == {"pause": "PT2S"}
    assert driver.now == EPOCH + micros


@pytest.mark.parametrize(
    ("duration", "kind"), [("'3 seconds'", "configuration"), ("'${ 3 }'", "expression")]
)
def test_a_wait_for_no_duration_fails(duration: str, kind: str) -> None:
    failure = run(f"do: [{{w: {{wait: {duration}}}}}]").failure
    assert (failure.type, failure.instance) == (BASE + kind, "/do/0/w")


def test_a_timer_that_is_not_armed_changes_nothing() -> None:
    driver = Driver("do: [{w: {wait: PT1S}}]").begin()
    assert driver.send(Fire(id="x1", timer="99w")).events == []
    driver.fire()
    assert driver.send(Fire(id="x1", timer="2w")).events == []


SLOW = "do: [{t: {try: [{c: {call: f, timeout: {after: PT5S}}}], catch: CATCH}}]"


def test_a_task_that_runs_out_of_time_is_interrupted() -> None:
    driver = Driver(SLOW.replace("CATCH", "{errors: {with: {status: 1}}}")).begin()
    assert driver.dispatched[0].deadline == EPOCH + 5_000_000
    driver.fire()
    failure = driver.failure
    assert (failure.type, failure.status) == (BASE + "timeout", 408)
    assert failure.instance == "/do/0/t/try/0/c"
    assert driver.withdrawn == [driver.dispatched[0].task]


def test_a_timeout_can_be_caught() -> None:
    driver = Driver(SLOW.replace("CATCH", "{errors: {with: {status: 408}}}"), "in").begin()
    driver.fire()
    assert driver.output == "in"


def test_a_task_in_time_disarms_its_limit() -> None:
    driver = Driver(SLOW.replace("CATCH", "{}")).begin()
    driver.report(driver.queue[0].task, "fine")
    assert (driver.output, driver.timers) == ("fine", {})


def test_a_composite_that_runs_out_of_time_takes_all_below_with_it() -> None:
    text = """
do:
- d:
    timeout: {after: PT5S}
    do:
    - f: {fork: {branches: [{a: {call: a}}, {b: {wait: PT1H}}, {c: {do: [{x: {call: c}}]}}]}}
"""
    driver = Driver(text).begin()
    driver.fire()
    assert driver.failure.instance == "/do/0/d"
    assert len(driver.withdrawn) == 2
    assert driver.timers == {}
    cancelled = [brief.split("/")[-1] for brief in driver.types() if "task.cancelled" in brief]
    assert cancelled == ["x", "c", "b", "a", "f"]


def test_the_workflow_has_a_limit_of_its_own() -> None:
    driver = Driver("{timeout: {after: PT5S}, do: [{t: {try: [{c: {call: f}}], catch: {}}}]}")
    driver.begin().fire()
    assert (driver.failure.type, driver.failure.instance) == (BASE + "timeout", "/timeout")
    assert driver.live.timers == {}


def test_the_limit_of_a_workflow_that_ends_is_disarmed() -> None:
    driver = Driver("{timeout: {after: PT5S}, do: [{c: {call: f}}]}", None, {"f": 1}).run()
    assert (driver.output, driver.timers) == (1, {})


def test_limits_come_by_name_and_by_expression() -> None:
    text = """
use: {timeouts: {short: {after: '${ .limit }'}}}
do: [{c: {call: f, timeout: short}}]
"""
    driver = Driver(text, {"limit": "PT7S"}).begin()
    assert list(driver.timers.values()) == [EPOCH + 7_000_000]


def test_an_unknown_limit_is_a_configuration_error() -> None:
    failure = run("do: [{c: {call: f, timeout: nowhere}}]").failure
    assert (failure.type, failure.instance) == (BASE + "configuration", "/do/0/c")


def test_a_task_that_takes_no_time_needs_no_timer() -> None:
    driver = run("do: [{c: {set: 1, timeout: {after: PT1S}}}]")
    assert (driver.output, driver.timers) == (1, {})


def test_each_retry_has_a_time_limit_of_its_own() -> None:
    text = SLOW.replace("CATCH", "{retry: {limit: {attempt: {count: 1}}}}")
    driver = Driver(text, "in").begin()
    driver.fire()
    assert list(driver.timers.values()) == [EPOCH + 10_000_000]
    driver.report(driver.queue[0].task, "fine")
    assert driver.output == "fine"
