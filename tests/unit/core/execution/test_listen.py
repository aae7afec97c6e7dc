"""``listen``: which events are consumed, and what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Deliver, Resume, Suspend
from flunq.core.execution.matching import fits
from tests.support.driver import Driver

COUNTER = iter(range(10**6))


def event(kind: str = "t", data: Any = None, **attributes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(next(COUNTER)),
        "source": "s:x",
        "type": kind,
        "data": data,
        **attributes,
    }


def listening(to: str, input: Any = None, rest: str = "") -> Driver:
    text = f"do: [{{l: {{listen: {{to: {to}}}{rest}}}}}]"
    return Driver(text, input).begin()


def hear(driver: Driver, *events: dict[str, Any]) -> None:
    for received in events:
        driver.send(Deliver(id="x1", listener="2l", event=received))


ONE = "{one: {with: {type: t}}}"


def test_a_listener_waits_for_its_event() -> None:
    driver = listening(ONE)
    assert (driver.live.status, driver.live.listeners) == ("waiting", {"2l": 2})
    assert driver.types()[-1] == "listen.registered /do/0/l"


def test_one_event_gives_an_array_of_its_data() -> None:
    driver = listening(ONE)
    hear(driver, event("other", 1), event("t", {"n": 2}))
    assert driver.output == [{"n": 2}]


@pytest.mark.parametrize(
    ("read", "expected"), [("data", {"n": 1}), ("raw", {"n": 1}), ("envelope", "whole")]
)
def test_the_author_chooses_what_is_read(read: str, expected: Any) -> None:
    driver = Driver(f"do: [{{l: {{listen: {{to: {ONE}, read: {read}}}}}}}]").begin()
    received = event("t", {"n": 1})
    hear(driver, received)
    assert driver.output == [received if expected == "whole" else expected]


@pytest.mark.parametrize(
    ("wanted", "consumed"),
    [
        ("{type: t}", True),
        ("{type: T}", False),
        ("{type: 't|u'}", True),
        ("{type: 't.'}", False),
        ("{source: 's:.*', type: t}", True),
        ("{source: 's'}", False),
        ("{subject: a}", False),
        ("{data: '${ .n > 3 }'}", True),
        ("{data: '${ .n > 9 }'}", False),
        ("{data: {n: 5}}", True),
        ("{data: {n: 6}}", False),
        ("{type: '${ .type == $input.wanted }'}", True),
        ("{type: '${ $input.wanted }'}", True),
        ("{type: '${ \"z\" }'}", False),
    ],
)
def test_all_attributes_of_a_filter_must_fit(wanted: str, consumed: bool) -> None:
    driver = listening(f"{{one: {{with: {wanted}}}}}", {"wanted": "t"})
    hear(driver, event("t", {"n": 5}))
    assert driver.done is consumed


def test_a_pattern_takes_linear_time() -> None:
    assert not fits("(a+)+$", "a" * 5_000 + "b")
    assert not fits("(", "(x")


def test_any_of_several_events_is_enough() -> None:
    driver = listening("{any: [{with: {type: a}}, {with: {type: b}}]}")
    hear(driver, event("c"), event("b", 2), event("a", 1))
    assert driver.output == [2]


def test_any_without_filters_takes_every_event() -> None:
    driver = listening("{any: []}")
    hear(driver, event("whatever", 1))
    assert driver.output == [1]


def test_any_until_a_condition_collects_events() -> None:
    driver = listening("{any: [], until: '( . | length ) >= 3'}")
    hear(driver, event(data=1), event(data=2), event(data=3), event(data=4))
    assert driver.output == [1, 2, 3]


def test_any_until_another_event_leaves_that_one_out() -> None:
    driver = listening("{any: [{with: {type: a}}], until: {one: {with: {type: stop}}}}")
    hear(driver, event("a", 1), event("a", 2), event("stop", 9))
    assert driver.output == [1, 2]


def test_all_waits_for_an_event_of_each_filter() -> None:
    driver = listening("{all: [{with: {type: a}}, {with: {type: b}}]}")
    hear(driver, event("b", 2), event("b", 3), event("c", 4))
    assert not driver.done
    hear(driver, event("a", 1))
    assert driver.output == [2, 1]


def test_an_event_is_consumed_once_however_often_it_comes() -> None:
    driver = listening("{any: [], until: 'length >= 2'}")
    twice = event(data=1)
    hear(driver, twice, twice)
    assert not driver.done
    hear(driver, event(data=2))
    assert driver.output == [1, 2]


def test_an_event_for_a_listener_that_is_gone_changes_nothing() -> None:
    driver = listening(ONE)
    hear(driver, event())
    assert driver.send(Deliver(id="x1", listener="2l", event=event())).events == []


CORRELATED = "{one: {with: {type: t}, correlate: {k: {from: .data.id, expect: EXPECT}}}}"


@pytest.mark.parametrize(
    ("expect", "value", "consumed"),
    [
        ("'${ .id }'", 7, True),
        ("'${ $workflow.input.id }'", 8, False),
        ("'7'", 7, True),
        ("'7'", True, False),
    ],
)
def test_an_expected_correlation_must_be_met(expect: str, value: Any, consumed: bool) -> None:
    driver = listening(CORRELATED.replace("EXPECT", expect), {"id": 7})
    hear(driver, event("t", {"id": value}))
    assert driver.done is consumed


def test_the_first_event_sets_the_correlation_of_the_others() -> None:
    one = "{with: {type: TYPE}, correlate: {room: {from: .room}}}"
    filters = ", ".join(one.replace("TYPE", kind) for kind in ("a", "b"))
    driver = listening(f"{{all: [{filters}]}}")
    hear(driver, event("b"), event("a", 1, room="r1"), event("b", 2, room="r2"))
    assert not driver.done
    hear(driver, event("b", 3, room="r1"))
    assert driver.output == [1, 3]


def test_a_condition_that_fails_is_the_error_of_the_task() -> None:
    driver = listening("{one: {with: {data: '${ .x.y }'}}}")
    hear(driver, event(data={"x": 3}))
    assert driver.failure.instance == "/do/0/l"


def test_a_condition_beyond_the_pure_tier_keeps_the_event_meanwhile() -> None:
    driver = listening("{one: {with: {data: '${ @sh == $input }'}}}", "'b'")
    hear(driver, event(data="a"))
    assert driver.types()[-1] == "event.dismissed /do/0/l"
    hear(driver, event(data="b"))
    assert driver.output == ["b"]


def test_events_that_come_while_suspended_are_kept() -> None:
    driver = listening(ONE)
    driver.send(Suspend(id="x1"))
    hear(driver, event(data=1))
    assert driver.live.status == "suspended"
    driver.send(Resume(id="x1"))
    assert driver.output == [1]


def test_a_listener_can_run_out_of_time() -> None:
    driver = listening(ONE, None, ", timeout: {after: PT5S}")
    driver.fire()
    assert (driver.failure.status, driver.live.listeners) == (408, {})


def test_listening_to_all_of_nothing_is_over_at_once() -> None:
    assert listening("{all: []}").output == []


def test_parts_that_this_version_cannot_run_are_named() -> None:
    driver = Driver("do: [{l: {listen: {to: {any: []}}, foreach: {item: e}}}]").begin()
    assert "foreach" in (driver.failure.detail or "")
