"""``listen``: which events are consumed, and what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Deliver, Resume, Suspend
from flunq.core.execution.fold import MOST_SEEN
from flunq.core.execution.matching import fits
from tests.support.driver import Driver, error

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


EACH = """
do:
- l:
    listen: {to: TO}
    foreach: {item: e, at: i, DO}
- after: {set: '${ {out: ., context: $context} }'}
"""
CALLING = "do: [{c: {call: f, with: {event: '${ $e }', index: '${ $i }', dot: '${ . }'}}}]"
ENDLESS = "{any: [], until: '${ false }'}"


def each(to: str, do: str = CALLING) -> Driver:
    return Driver(EACH.replace("TO", to).replace("DO", do)).begin()


def finish_item(driver: Driver, output: Any) -> None:
    driver.report(driver.queue.pop(0).task, output)


def test_events_are_worked_off_one_after_the_other_in_their_order() -> None:
    driver = each("{any: [], until: 'length >= 3'}")
    hear(driver, event(data="a"), event(data="b"), event(data="c"), event(data="d"))
    seen = []
    while not driver.done:
        (task,) = driver.queue
        seen.append((task.arguments["event"], task.arguments["index"], task.arguments["dot"]))
        finish_item(driver, task.arguments["event"] * 2)
    assert seen == [("a", 0, "a"), ("b", 1, "b"), ("c", 2, "c")]
    assert driver.output["out"] == ["aa", "bb", "cc"]


def test_events_queue_in_the_state_while_one_is_worked_on() -> None:
    driver = each(ENDLESS)
    hear(driver, event(data=1), event(data=2))
    driver.reload()
    finish_item(driver, "first")
    assert (driver.queue[0].arguments["event"], driver.live.status) == (2, "running")
    finish_item(driver, "second")
    assert (driver.queue, driver.live.status) == ([], "waiting")
    hear(driver, event(data=3))
    assert driver.queue[0].arguments["index"] == 2


def test_each_event_has_steps_of_its_own() -> None:
    driver = each(ENDLESS)
    hear(driver, event(), event())
    finish_item(driver, 1)
    first, second = driver.dispatched
    assert first.key == "x1:/do/0/l/foreach/do/0/c#0"
    assert second.key == "x1:/do/0/l/foreach/do/0/c#1"


def test_an_iteration_has_an_output_and_an_export_of_its_own() -> None:
    output = "output: {as: '${ {n: ., of: $e, at: $i} }'}"
    export = "export: {as: '${ ($context // []) + [$output.n] }'}"
    driver = each("{any: [], until: 'length >= 2'}", f"{CALLING}, {output}, {export}")
    hear(driver, event(data="a"), event(data="b"))
    finish_item(driver, 10)
    finish_item(driver, 20)
    assert driver.output["out"] == [{"n": 10, "of": "a", "at": 0}, {"n": 20, "of": "b", "at": 1}]
    assert driver.output["context"] == [10, 20]


def test_without_tasks_the_output_is_made_of_the_events_themselves() -> None:
    driver = each("{all: [{with: {type: a}}, {with: {type: b}}]}", "output: {as: .n}")
    hear(driver, event("b", {"n": 2}), event("a", {"n": 1}))
    assert driver.output["out"] == [2, 1]


def test_until_sees_what_the_work_on_the_events_has_exported() -> None:
    to = "{any: [], until: '${ $context == \"enough\" }'}"
    driver = each(to, f"{CALLING}, export: {{as: .}}")
    hear(driver, event(data=1), event(data=2), event(data=3))
    finish_item(driver, "more")
    finish_item(driver, "enough")
    assert (driver.output["out"], len(driver.dispatched)) == (["more", "enough"], 2)


def test_what_came_before_the_end_of_until_is_still_worked_off() -> None:
    driver = each("{any: [{with: {type: a}}], until: {one: {with: {type: stop}}}}")
    hear(driver, event("a", 1), event("a", 2), event("stop"), event("a", 3))
    assert driver.live.listeners == {}
    finish_item(driver, "one")
    finish_item(driver, "two")
    assert driver.output["out"] == ["one", "two"]


def test_a_failing_iteration_fails_the_listening() -> None:
    driver = each(ENDLESS)
    hear(driver, event(), event())
    finish_item(driver, error("runtime"))
    assert driver.failure.instance == "/do/0/l/foreach/do/0/c"
    assert driver.live.listeners == {}


def test_a_failing_filter_interrupts_the_iteration_under_way() -> None:
    driver = each("{any: [{with: {data: '${ .x.y }'}}], until: 'false'}")
    hear(driver, event(data={"x": {"y": True}}), event(data={"x": 3}))
    assert (driver.failure.instance, len(driver.withdrawn)) == ("/do/0/l", 1)


def test_an_exit_ends_the_iteration_and_an_end_ends_all() -> None:
    driver = each(ENDLESS, "do: [{a: {set: 1, then: exit}}, {b: {call: f}}]")
    hear(driver, event(), event())
    assert (driver.live.status, driver.dispatched) == ("waiting", [])
    driver = each(ENDLESS, "do: [{a: {set: over, then: end}}]")
    hear(driver, event())
    assert driver.output == "over"


def test_events_wait_while_the_execution_is_suspended() -> None:
    driver = each(ENDLESS)
    driver.send(Suspend(id="x1"))
    hear(driver, event(data=1), event(data=2))
    assert driver.queue == []
    driver.send(Resume(id="x1"))
    assert [task.arguments["event"] for task in driver.queue] == [1]


def test_a_time_limit_interrupts_the_iteration() -> None:
    text = EACH.replace("TO", ENDLESS).replace("DO", CALLING)
    driver = Driver(text.replace("- l:", "- l:\n    timeout: {after: PT5S}")).begin()
    hear(driver, event(), event())
    driver.fire()
    assert (driver.failure.status, len(driver.withdrawn)) == (408, 1)


UNTIL_ALL = """
{any: [{with: {type: a}}], until: {all: [{with: {type: x}}, {with: {type: y}}]}}
"""


def test_until_all_events_of_a_strategy_have_come() -> None:
    driver = listening(UNTIL_ALL)
    hear(driver, event("y"), event("a", 1), event("y"), event("a", 2))
    assert not driver.done
    hear(driver, event("x"))
    assert driver.output == [1, 2]


def test_until_any_event_of_a_strategy_has_come() -> None:
    driver = listening("{any: [{with: {type: a}}], until: {any: [{with: {type: x}}]}}")
    hear(driver, event("a", 1), event("x", 9))
    assert driver.output == [1]


ROOMS = """
{any: [{with: {type: a}, correlate: {room: {from: .room}}}],
 until: {one: {with: {type: stop}, correlate: {room: {from: .room}}}}}
"""


def test_the_events_of_until_are_correlated_with_the_others() -> None:
    driver = listening(ROOMS)
    hear(driver, event("a", 1, room="r1"), event("stop", room="r2"), event("a", 2, room="r1"))
    assert not driver.done
    hear(driver, event("stop", room="r1"))
    assert driver.output == [1, 2]


def test_a_correlation_is_told_with_its_keys() -> None:
    driver = listening(ROOMS)
    hear(driver, event("a", 1, room="r1"), event("stop", room="r1"))
    told = [e.data for e in driver.events if "correlation" in e.type]
    assert [sorted(data)[-1] for data in told] == ["startedAt", "name"]
    assert told[1]["correlationKeys"] == {"room": "r1"}


@pytest.mark.parametrize(
    ("content_type", "encoded", "read", "expected"),
    [
        ("application/json", "eyJhIjogMX0=", "data", {"a": 1}),
        ("text/plain; charset=utf-8", "aGk=", "data", "hi"),
        ("application/octet-stream", "AAE=", "data", "AAE="),
        ("application/json", "bm8=", "data", "bm8="),
        ("application/json", "eyJhIjogMX0=", "raw", "eyJhIjogMX0="),
    ],
)
def test_binary_data_is_read_as_what_it_is(
    content_type: str, encoded: str, read: str, expected: Any
) -> None:
    driver = Driver(f"do: [{{l: {{listen: {{to: {ONE}, read: {read}}}}}}}]").begin()
    binary = event("t", datacontenttype=content_type, data_base64=encoded)
    del binary["data"]
    hear(driver, binary)
    assert driver.output == [expected]


def test_a_listener_remembers_only_so_many_events() -> None:
    driver = listening("{any: [{with: {type: t}}], until: 'false'}")
    driver.live.frames[2].local.seen.extend(f"s {n}" for n in range(MOST_SEEN))  # type: ignore[union-attr]
    driver.folded.frames[2].local.seen.extend(f"s {n}" for n in range(MOST_SEEN))  # type: ignore[union-attr]
    hear(driver, event("t"))
    assert len(driver.live.frames[2].local.seen) == MOST_SEEN // 2 + 1  # type: ignore[union-attr]
