"""Folding histories: cuts, repeats, gaps, and the budget of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core import events as types
from flunq.core.execution.commands import Cancel, Continue
from flunq.core.execution.decide import MAX_BYTES, MAX_TRANSITIONS
from flunq.core.execution.fold import FoldError, fold
from flunq.core.execution.state import State, decode_state, encode_state
from tests.support.driver import Driver

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent

TEXT = """
do:
- a: {set: {n: 1}}
- t: {try: [{c: {call: f}}], catch: {retry: {delay: PT1S, limit: {attempt: {count: 1}}}}}
- l: {for: {in: '[1,2]'}, do: [{s: {set: '${ [$item] }'}}]}
"""


def history() -> list[CloudEvent]:
    return Driver(TEXT, None, {"f": 1}).run().events


def folded(events: list[CloudEvent], state: State | None = None) -> State:
    for event in events:
        state = fold(state, event)
    assert state is not None
    return state


def test_any_cut_and_refold_gives_the_same_state() -> None:
    events = history()
    whole = encode_state(folded(events))
    for cut in range(1, len(events)):
        stored = decode_state(encode_state(folded(events[:cut])))
        assert encode_state(folded(events[cut:], stored)) == whole


def test_events_that_are_part_of_the_state_are_skipped() -> None:
    events = history()
    assert encode_state(folded(events + events)) == encode_state(folded(events))


def test_a_gap_is_refused() -> None:
    events = history()
    with pytest.raises(FoldError, match="x1:4 does not follow event 2"):
        folded(events[:2] + events[3:])


def test_a_history_begins_with_the_start() -> None:
    with pytest.raises(FoldError, match="before the start"):
        fold(None, history()[1])


def test_an_unknown_type_is_refused() -> None:
    event = history()[1]
    event.type = "io.flunq.mystery"
    with pytest.raises(FoldError, match="unknown event type"):
        folded([history()[0], event])


def test_a_quarantined_execution_has_ended() -> None:
    driver = Driver(TEXT).begin()
    last = driver.events[-1]
    data = {"reason": "poison", "error": {"type": "t", "status": 500}}
    event = msgspec.structs.replace(
        last, id="q", type=types.QUARANTINED, seq=last.seq + 1, data=data
    )
    state = fold(driver.live, event)
    assert (state.status, state.reason, state.is_terminal) == ("quarantined", "poison", True)
    assert not (state.tasks or state.timers or state.ready)


def test_events_carry_their_envelope() -> None:
    event = Driver(TEXT).begin().events[2]
    assert (event.id, event.subject, event.seq) == ("x1:3", "x1", 3)
    assert (event.tenant, event.partition, event.source) == ("default", 0, "/flunq/test")
    assert event.workflow == "test/sample:1.0.0"
    assert event.data["workflow"] == "sample-x1.test"


def test_a_state_with_large_integers_can_be_stored() -> None:
    driver = Driver("do: [{w: {wait: PT1S}}]", {"n": 2**70}).begin()
    driver.reload()
    assert driver.run().output == {"n": 2**70}


ENDLESS = "do: [{a: {set: {n: '${ .n + 1 }'}, then: a}}]"


def test_one_call_does_a_bounded_number_of_transitions() -> None:
    driver = Driver(ENDLESS, {"n": 0})
    decision = driver._decide(driver.start)
    assert decision.more
    assert sum(e.type == types.TASK_STARTED for e in decision.events) <= MAX_TRANSITIONS


def test_an_endless_loop_can_be_cancelled() -> None:
    driver = Driver(ENDLESS, {"n": 0})
    driver._decide(driver.start)
    driver._decide(Continue(id="x1"))
    driver._decide(Cancel(id="x1"))
    assert driver.live.status == "cancelled"


def test_one_call_makes_a_bounded_amount_of_data() -> None:
    driver = Driver("do: [{a: {set: '${ . }', then: a}}]", "x" * 20_000)
    decision = driver._decide(driver.start)
    size = sum(len(msgspec.json.encode(event)) for event in decision.events)
    assert decision.more
    assert size < MAX_BYTES + 100_000


def test_the_state_does_not_grow_with_the_history() -> None:
    driver = Driver(ENDLESS, {"n": 0})
    driver._decide(driver.start)
    first = len(encode_state(driver.live))
    for _ in range(10):
        driver._decide(Continue(id="x1"))
    assert len(encode_state(driver.live)) < first + 50
