"""Executions that collect starts before they begin."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.events import TASK_STARTED
from flunq.core.execution.collecting import MOST_BYTES
from flunq.core.execution.commands import Cancel, Fire, Join, Resume, Start, Suspend
from flunq.core.execution.state import Begin, decode_state, encode_state
from tests.support.driver import EPOCH, HEADER, Driver

SECOND = 1_000_000
TIMER = "0c"
CALL = [{"c": {"call": "f", "with": {"given": "${ . }"}}}]
DEBOUNCE = {"debounce": {"for": "PT5S", "max": "PT12S"}}
BATCH = {"batch": {"for": "PT5S", "size": 3}}


def started(start: dict[str, Any], input: Any = 1, **members: Any) -> Driver:
    document = {
        "document": {**HEADER, "metadata": {"start": start}},
        "timeout": {"after": "PT1H"},
        "do": CALL,
    }
    driver = Driver(document, input)
    driver.start = msgspec.structs.replace(
        driver.start, group="g1", first="s1", fingerprint="f1", **members
    )
    return driver.begin()


def joining(driver: Driver, name: str, input: Any) -> None:
    start = Start(id=name, workflow=driver.env.workflow.ref, input=input)
    driver.send(Join(id="x1", start=start, fingerprint=f"f-{name}"))


def fire(driver: Driver) -> None:
    driver.now = driver.live.timers[TIMER]
    driver.send(Fire(id="x1", timer=TIMER))


def test_a_debounced_start_waits_and_begins_with_the_newest_input() -> None:
    driver = started(DEBOUNCE)
    assert (driver.live.status, driver.live.timers) == ("waiting", {TIMER: EPOCH + 5 * SECOND})
    driver.now += 3 * SECOND
    joining(driver, "s2", 2)
    assert driver.live.timers == {TIMER: EPOCH + 8 * SECOND}
    fire(driver)
    assert [task.arguments for task in driver.queue] == [{"given": 2}]
    assert driver.live.timers == {"0t": EPOCH + 8 * SECOND + 3600 * SECOND}


def test_it_waits_no_longer_than_the_longest_time() -> None:
    driver = started(DEBOUNCE)
    for number in range(2, 6):
        driver.now += 3 * SECOND
        joining(driver, f"s{number}", number)
    assert driver.live.timers == {TIMER: EPOCH + 12 * SECOND}


def test_a_batch_begins_with_all_inputs_once_it_is_complete() -> None:
    driver = started(BATCH)
    joining(driver, "s2", {"n": 2})
    assert (driver.live.input, driver.queue) == ([1, {"n": 2}], [])
    joining(driver, "s3", 3)
    assert [task.arguments for task in driver.queue] == [{"given": [1, {"n": 2}, 3]}]
    assert TIMER not in driver.live.timers


def test_a_batch_begins_with_what_there_is_when_its_time_is_over() -> None:
    driver = started(BATCH)
    joining(driver, "s2", 2)
    fire(driver)
    assert [task.arguments for task in driver.queue] == [{"given": [1, 2]}]
    assert driver.types()[:3] == ["workflow.started", "execution.joined", "execution.gathered"]


def test_a_batch_of_one_begins_at_once() -> None:
    driver = started({"batch": {"for": "PT5S", "size": 1}})
    assert [task.arguments for task in driver.queue] == [{"given": [1]}]


def test_a_batch_is_complete_before_its_inputs_are_too_much() -> None:
    driver = started(BATCH)
    joining(driver, "s2", "x" * MOST_BYTES)
    assert driver.live.collecting is None
    assert [len(task.arguments["given"]) for task in driver.queue] == [2]


def test_a_start_joins_once() -> None:
    driver = started(BATCH)
    for name in ("s2", "s2", "s1"):
        joining(driver, name, 2)
    assert (len(driver.events), driver.live.input) == (2, [1, 2])
    fire(driver)
    joining(driver, "s9", 9)
    assert driver.types()[-1] != "execution.joined"


def test_what_is_paused_goes_on_collecting_and_begins_afterwards() -> None:
    driver = started(DEBOUNCE, pause="p1", reason="why not")
    joining(driver, "s2", 2)
    fire(driver)
    assert (driver.live.status, driver.live.ready, driver.queue) == (
        "suspended",
        [Begin(source=4)],
        [],
    )
    driver.send(Resume(id="x1", pause="p1"))
    assert [task.arguments for task in driver.queue] == [{"given": 2}]


def test_somebody_lets_it_begin_early() -> None:
    driver = started(DEBOUNCE)
    driver.send(Suspend(id="x1", request="r1"))
    driver.send(Resume(id="x1", request="r2"))
    assert driver.live.collecting is not None
    driver.send(Resume(id="x1", request="r3"))
    assert [task.arguments for task in driver.queue] == [{"given": 1}]
    driver.send(Resume(id="x1", request="r3"))
    assert driver.live.collecting is None


def test_it_can_be_cancelled_before_it_begins() -> None:
    driver = started(BATCH)
    driver.send(Cancel(id="x1"))
    assert (driver.live.status, driver.live.collecting, driver.live.timers) == (
        "cancelled", None, {},
    )  # fmt: skip


def test_the_stored_state_collects_on() -> None:
    driver = started(BATCH)
    joining(driver, "s2", 2)
    assert decode_state(encode_state(driver.live)) == driver.live


def test_the_input_of_the_first_task_stands_in_the_event_that_gathered_it() -> None:
    driver = started(BATCH)
    joining(driver, "s2", "y" * 5_000)
    fire(driver)
    (begun,) = [each for each in driver.events if each.type == TASK_STARTED]
    assert begun.data["inputFrom"] == 3
    assert driver.events[2].data["input"] == [1, "y" * 5_000]
