"""Retry, rewind, fork and migrate: executions that go on from a state of their past."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Cancel, Migrate, Report, Restore, Resume, Suspend
from flunq.core.execution.decide import decide
from flunq.core.execution.restoring import from_value, to_value
from flunq.core.execution.state import encode_state
from flunq.core.execution.trail import Point
from tests.support.driver import Driver, document, environment, error
from tests.support.returning import restored, retry, state_after, trail_of

STEPS = "do: [{a: {call: a}}, {b: {call: b, with: {v: '${ . }'}}}, {c: {call: c}}]"
DOWN = error("communication", 503)


def test_a_retry_runs_the_failed_task_again_and_what_follows() -> None:
    driver = Driver(STEPS, results={"a": 1, "b": [DOWN, 2], "c": 3}).run()
    assert driver.live.status == "faulted"
    driver.send(retry(driver))
    driver.run()
    assert (driver.output, driver.started()) == (3, ["a", "b", "b", "c"])
    first, second = (task for task in driver.dispatched if task.reference == "/do/1/b")
    assert (first.key, first.arguments) == (second.key, second.arguments)
    assert (first.attempt, second.attempt) == (1, 2)


def test_a_retry_takes_another_input_for_the_failed_task() -> None:
    driver = Driver(STEPS, results={"a": 1, "b": [DOWN, 2], "c": 3}).run()
    driver.send(retry(driver, input="new"))
    assert driver.dispatched[-1].arguments == {"v": "new"}
    assert driver.run().output == 3


def test_a_retry_goes_on_twice_when_it_fails_twice() -> None:
    driver = Driver(STEPS, results={"a": 1, "b": [DOWN, DOWN, 2], "c": 3}).run()
    for attempt in (2, 3):
        assert driver.live.status == "faulted"
        driver.send(retry(driver))
        assert driver.dispatched[-1].attempt == attempt
        driver.run()
    assert (driver.output, len(driver.finished)) == (3, 3)


def test_what_the_old_attempt_says_late_changes_nothing() -> None:
    driver = Driver(STEPS, results={"a": 1, "b": [DOWN, 2], "c": 3}).run()
    old = driver.dispatched[-1].task
    driver.send(retry(driver))
    assert driver.send(Report(id="x1", task=old, output="late")).events == []
    assert driver.run().output == 3


def test_branches_that_were_done_stay_done() -> None:
    text = """
    do:
    - f: {fork: {branches: [{a: {call: a}}, {b: {call: b}}, {c: {call: c}}]}}
    """
    driver = Driver(text).begin()
    a, b, c = (task.task for task in driver.dispatched)
    driver.report(b, 2)
    driver.report(a, DOWN)
    assert (driver.live.status, driver.withdrawn) == ("faulted", [c])
    driver.send(retry(driver))
    assert [task.reference[-1] for task in driver.dispatched[3:]] == ["a", "c"]
    for task in list(driver.dispatched[3:]):
        driver.report(task.task, task.reference[-1])
    assert driver.output == ["a", 2, "c"]


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("do: [{d: {do: [{x: {call: a}}]}}]", "/do/0/d/do/0/x"),
        ("do: [{t: {try: [{x: {call: a}}], catch: {errors: {with: {status: 1}}}}}]", "x"),
        ("do: [{t: {try: [{y: {call: a}}], catch: {do: [{x: {call: a}}]}}}]", "/catch/do/0/x"),
        ("do: [{l: {for: {in: '[1, 2]'}, do: [{x: {call: a}}]}}]", "/do/0/x"),
        ("do: [{x: {raise: {error: {type: 'my:e', status: 400}}}}]", "/do/0/x"),
    ],
)
def test_the_deepest_task_that_failed_is_the_one(text: str, task: str) -> None:
    driver = Driver(text, results={"a": DOWN}).run()
    found = trail_of(driver).before_failure()
    assert found.task.endswith(task)
    driver.send(retry(driver))
    assert driver.started()[-1] == "x"


def test_a_retry_after_a_cancel_goes_on_with_everything() -> None:
    driver = Driver("do: [{f: {fork: {branches: [{a: {call: a}}, {w: {wait: PT5S}}]}}}]").begin()
    driver.now += 2_000_000
    driver.send(Cancel(id="x1"))
    stopped = driver.now
    driver.now += 60_000_000
    driver.send(retry(driver, at=stopped))
    assert list(driver.timers.values()) == [driver.now + 3_000_000]
    driver.results = {"a": 1}
    assert driver.run().output == [1, None]


def test_time_limits_begin_anew() -> None:
    text = "timeout: {after: PT10S}\ndo: [{a: {call: a}}]"
    driver = Driver(text).begin()
    driver.fire()
    assert driver.failure.status == 408
    driver.now += 60_000_000
    driver.send(retry(driver))
    assert driver.timers == {"0t": driver.now + 10_000_000}
    driver.results = {"a": 7}
    assert driver.run().output == 7


def test_an_input_that_was_refused_can_be_replaced() -> None:
    text = "input: {schema: {document: {type: string}}}\ndo: [{a: {set: {v: '${ . }'}}}]"
    driver = Driver(text, 5).begin()
    assert driver.live.status == "faulted"
    driver.send(retry(driver, input="fine"))
    assert driver.output == {"v": "fine"}


def test_what_goes_on_or_has_completed_is_not_tried_again() -> None:
    driver = Driver("do: [{a: {call: a}}]").begin()
    refused = driver.send(restored(driver, "retried", Point(seq=1)))
    assert (refused.events, refused.rejection and refused.rejection.status) == ([], 409)
    driver.results = {"a": 1}
    driver.run()
    with pytest.raises(Exception, match="faulted or cancelled"):
        trail_of(driver).before_failure()


def test_a_copy_of_a_retry_changes_nothing() -> None:
    driver = Driver(STEPS, results={"a": 1, "b": [DOWN, 2], "c": 3}).run()
    command = retry(driver, request="r1")
    driver.send(command)
    again = driver.send(command)
    assert (again.events, again.rejection) == ([], None)
    stale = driver.send(restored(driver, "rewound", Point(seq=1), seq=3))
    assert (stale.events, stale.rejection and stale.rejection.status) == ([], 409)


def test_a_rewound_execution_stays_suspended_until_it_is_resumed() -> None:
    driver = Driver(STEPS, results={"a": 1, "b": 2, "c": 3}).begin()
    driver.work()
    driver.work()
    driver.send(Suspend(id="x1"))
    before_b = trail_of(driver).began["/do/1/b"]
    driver.send(restored(driver, "rewound", Point(seq=before_b)))
    assert (driver.live.status, driver.open, len(driver.withdrawn)) == ("suspended", set(), 1)
    driver.send(Resume(id="x1"))
    assert driver.run().output == 3
    assert driver.started() == ["a", "b", "c", "b", "c"]


def test_a_rewound_listener_hears_again() -> None:
    text = "do: [{l: {listen: {to: {one: {with: {type: a}}}}}}, {b: {call: b}}]"
    driver = Driver(text).begin()
    driver.send(Cancel(id="x1"))
    driver.send(retry(driver))
    assert (driver.live.status, list(driver.live.listeners)) == ("waiting", ["2l"])


def test_a_child_that_was_open_begins_anew_under_another_id() -> None:
    text = "do: [{k: {run: {workflow: {namespace: n, name: w, version: 1.0.0}}}}]"
    driver = Driver(text).begin()
    driver.send(Cancel(id="x1"))
    driver.send(retry(driver))
    first, cancelled, second = driver.told
    assert first.id == cancelled.id != second.id
    assert driver.live.tasks[second.id].attempt == 2


def forked(driver: Driver, point: Point, text: str, **more: Any) -> Driver:
    """Return another execution that goes on from a point of this one's history."""
    other = Driver(text, results=driver.results)
    other.now = driver.now + 1_000_000
    ref = other.env.workflow.ref
    other.send(restored(driver, "forked", point, seq=0, origin="old", workflow=ref, **more))
    return other


NESTED = """
do:
- l:
    for: {each: i, in: "[1, 2]"}
    do:
    - t: {try: [{x: {call: x, with: {i: "${ $i }"}}}], catch: {}, timeout: {after: PT9S}}
    - w: {wait: PT5S}
- z: {call: z}
"""


def test_a_fork_goes_on_by_itself_from_any_event() -> None:
    source = Driver(NESTED, results={"x": [1, 2], "z": 3}).run()
    for seq in range(1, len(source.events)):
        other = forked(source, Point(seq=seq), NESTED)
        assert other.run().output == 3, seq
        assert other.events[0].data["forked"] == {"from": "old", "at": seq}
        steps = [e.data["step"] for e in other.events if e.type.endswith("task.started.v1")]
        assert len(steps) == len(set(steps))


@pytest.mark.parametrize(
    "inner",
    [
        "do: [{x: {if: 'false', call: x}}, {y: {set: 3, then: end, timeout: {after: PT9S}}}]",
        "fork: {branches: [{y: {set: 3, then: end}}]}",
    ],
)
def test_an_end_of_everything_deep_inside_is_gone_on_from_at_any_event(inner: str) -> None:
    text = f"do: [{{a: {{set: 1}}}}, {{d: {{{inner}}}}}]"
    source = Driver(text).run()
    for seq in range(1, len(source.events)):
        assert forked(source, Point(seq=seq), text).run().output == source.output, seq
        again = Driver(text).run()
        again.send(restored(again, "rewound", Point(seq=seq)))
        assert again.run().output == source.output, seq


def test_a_fork_takes_another_input_for_its_next_task() -> None:
    source = Driver(STEPS, results={"a": 1, "b": 2, "c": 3}).run()
    before_b = trail_of(source).began["/do/1/b"]
    other = forked(source, Point(seq=before_b), STEPS, input="new")
    assert other.dispatched[0].arguments == {"v": "new"}


def test_a_large_input_is_carried_into_the_fork() -> None:
    source = Driver(STEPS, results={"a": "x" * 5_000, "b": 2, "c": 3}).run()
    other = forked(source, Point(seq=trail_of(source).began["/do/1/b"]), STEPS)
    begun = next(
        e.data for e in other.events if e.data.get("task") == "/do/1/b" and "step" in e.data
    )
    assert other.events[begun["inputFrom"] - 1].data["value"] == "x" * 5_000


def test_a_fork_by_another_definition_must_have_what_is_open() -> None:
    source = Driver(NESTED, results={"x": [1, 2], "z": 3}).run()
    other = Driver(STEPS)
    ref = other.env.workflow.ref
    refused = decide_fork(other, restored(source, "forked", Point(seq=5), seq=0, workflow=ref))
    assert refused is not None
    assert (refused.status, "/do/0/l" in str(refused.detail)) == (422, True)


def decide_fork(driver: Driver, command: Restore) -> Any:
    state, decision = decide(None, command, driver.now, driver.env, {})
    assert (state.seq, decision.events) == (0, [])
    return decision.rejection


def test_an_open_execution_goes_on_with_another_version() -> None:
    driver = Driver(STEPS, results={"a": 1, "b": 2, "c": 3, "d": 4}).begin()
    newer = document(STEPS.replace("call: c", "call: d"))
    newer["document"] = {**newer["document"], "version": "2.0.0"}
    driver.env = environment(newer)
    driver.send(Migrate(id="x1", workflow=driver.env.workflow.ref))
    assert driver.live.workflow.version == "2.0.0"
    assert driver.run().output == 4
    assert {event.workflow for event in driver.events[3:]} == {"test/sample:2.0.0"}


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_version_without_the_open_task_is_refused(dry_run: bool) -> None:
    driver = Driver(STEPS).begin()
    driver.env = environment(document("do: [{other: {call: a}}]"))
    command = Migrate(id="x1", workflow=driver.env.workflow.ref, dry_run=dry_run)
    refused = driver.send(command)
    assert refused.events == []
    assert refused.rejection is not None
    assert "/do/0/a is not in it" in str(refused.rejection.detail)


def test_a_state_survives_as_a_value() -> None:
    driver = Driver(NESTED, results={"x": [1, 2], "z": 3}).begin()
    for seq in range(1, len(driver.events) + 1):
        state = state_after(driver, seq)
        assert encode_state(from_value(to_value(state))) == encode_state(state)
