"""Generated executions that go back to any of their events, and forks from there.

The driver checks after every decision that the live state is the fold of its events, that open
tasks and timers are those that the world was told about, and that the history has no gap.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flunq.core.execution.commands import Suspend
from flunq.core.execution.fold import fold
from flunq.core.execution.state import State, decode_state, encode_state
from flunq.core.execution.trail import Point
from tests.property.test_execution import DOCUMENTS, INPUTS, STEPS, act, finish, play
from tests.support.driver import Driver
from tests.support.returning import restored, retry


def going_on(driver: Driver, data: st.DataObject) -> Point:
    """Choose a point at which the execution had not ended."""
    state: State | None = None
    points = [0]
    for event in driver.events:
        state = fold(state, event)
        if not state.is_terminal:
            points.append(event.seq)
    return Point(seq=data.draw(st.sampled_from(points)))


def refold(driver: Driver) -> State:
    """Return the fold of the history, stored and loaded half-way."""
    state: State | None = None
    for number, event in enumerate(driver.events):
        state = fold(state, event)
        if number == len(driver.events) // 2:
            state = decode_state(encode_state(state))
    assert state is not None
    return state


@given(DOCUMENTS, INPUTS, STEPS, st.data())
def test_an_ended_execution_goes_on_from_any_event_and_ends_again(
    value: dict[str, Any], input: Any, choices: list[int], data: st.DataObject
) -> None:
    driver = play(value, input, choices)
    decision = driver.send(restored(driver, "rewound", going_on(driver, data)))
    assert decision.rejection is None
    finish(driver)
    assert (driver.open, driver.timers) == (set(), {})
    assert len(driver.finished) == 2
    assert encode_state(refold(driver)) == encode_state(driver.live)


@given(DOCUMENTS, INPUTS, STEPS, st.data())
def test_a_suspended_execution_goes_on_from_any_event(
    value: dict[str, Any], input: Any, choices: list[int], data: st.DataObject
) -> None:
    driver = Driver(value, input)
    driver.limit = 5
    driver.begin()
    for choice in choices:
        act(driver, choice)
    driver.send(Suspend(id="x1"))
    suspended = driver.live.suspended
    driver.send(restored(driver, "rewound", going_on(driver, data)))
    assert driver.live.suspended == suspended
    assert not (suspended and driver.open)
    finish(driver)
    assert (driver.open, driver.timers) == (set(), {})


@given(DOCUMENTS, INPUTS, STEPS)
def test_what_failed_is_tried_again_under_ids_of_its_own(
    value: dict[str, Any], input: Any, choices: list[int]
) -> None:
    driver = play(value, input, choices)
    if not driver.done or driver.live.status == "completed":
        driver.send(restored(driver, "rewound", Point(seq=1)))
    else:
        driver.send(retry(driver))
    finish(driver)
    ids = [task.task for task in driver.dispatched]
    assert len(ids) == len(set(ids))
    assert len(driver.finished) == 2


@given(DOCUMENTS, INPUTS, STEPS, st.data())
def test_a_fork_from_any_event_ends_by_itself(
    value: dict[str, Any], input: Any, choices: list[int], data: st.DataObject
) -> None:
    source = play(value, input, choices)
    point = going_on(source, data)
    fork = Driver(value, input)
    fork.limit, fork.now = 5, source.now
    fork.send(restored(source, "forked", point, seq=0, origin="old"))
    finish(fork)
    assert (fork.open, fork.timers) == (set(), {})
    assert encode_state(refold(fork)) == encode_state(fork.live)
    steps = [e.data["step"] for e in fork.events if e.type.endswith("task.started.v1")]
    assert len(steps) == len(set(steps))
