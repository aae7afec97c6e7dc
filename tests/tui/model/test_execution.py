"""An execution as it was after any of its events, against the engine's own fold."""

from __future__ import annotations

import msgspec
import pytest

from flunq.core.events import CloudEvent
from flunq.core.execution.fold import fold
from flunq_tui.model.execution import ROOT, Execution
from flunq_tui.model.tree import rows
from tests.support.driver import Driver, run
from tests.support.monitor import lazy, order

DOCUMENTS = [
    "do: [{a: {set: {x: 1}}}, {w: {wait: {seconds: 5}}}, {b: {call: f}}]",
    "do: [{l: {for: {in: '${ [1, 2, 3] }'}, do: [{s: {call: f}}]}}]",
    "do: [{f: {fork: {branches: [{x: {wait: {seconds: 1}}}, {y: {call: f}}]}}}]",
    "do: [{t: {try: [{r: {raise: {error: BOOM}}}], catch: {do: [{h: {call: f}}]}}}]",
    "do: [{s: {if: '${ false }', set: {x: 1}}}, {n: {set: {y: 2}}}]",
    "do: [{g: {set: {n: 1}, then: end}}, {never: {set: {n: 2}}}]",
]


def model(driver: Driver) -> Execution:
    execution = Execution()
    execution.extend(lazy(driver.events))
    return execution


@pytest.mark.parametrize("text", DOCUMENTS)
def test_the_status_is_that_of_the_engine_whenever_it_rests(text: str) -> None:
    driver = run(text.replace("BOOM", "{type: 'x:y', status: 500}"), None, {"f": "done"})
    execution = model(driver)
    state = None
    for event in driver.events:
        stored = msgspec.json.decode(msgspec.json.encode(event), type=CloudEvent)
        state = fold(state, stored)
        if not state.ready:
            assert execution.status(event.seq) == state.status, event.seq


@pytest.mark.parametrize("text", DOCUMENTS)
def test_every_step_that_ended_has_the_output_of_its_event(text: str) -> None:
    driver = run(text.replace("BOOM", "{type: 'x:y', status: 500}"), None, {"f": "done"})
    execution = model(driver)
    for event in driver.events:
        if event.type.endswith("task.completed.v1"):
            step = execution.step_of(event.seq)
            assert execution.output(step, event.seq) == event.data.get("output")
            assert execution.output(step, event.seq - 1) is msgspec.UNSET


def test_an_input_that_another_event_holds_is_found() -> None:
    driver = run("do: [{a: {set: {x: 1}}}, {b: {set: {y: '${ .x }'}}}]")
    execution = model(driver)
    second = next(step for step in execution.steps.values() if step.name == "b")
    assert execution.input(second.number, execution.last) == {"x": 1}


def test_attempts_before_the_last_are_folded() -> None:
    execution = model(order().run())
    shown = rows(execution, execution.last)
    assert [row.label for row in shown if row.kind == "attempt"] == ["#1", "#2"]
    first = next(row for row in shown if row.kind == "attempt")
    opened = rows(execution, execution.last, {first.key})
    assert len(opened) == len(shown) + 1


def test_a_retry_counts_down_to_its_due_time() -> None:
    driver = order().begin()
    driver.work()
    driver.work()
    execution = model(driver)
    (waiting,) = execution.waiting(execution.last)
    assert (waiting.kind, waiting.due, waiting.attempt) == ("retry", driver.now + 5_000_000, 2)


def test_failures_are_found_forwards_and_backwards() -> None:
    execution = model(order().run())
    first, second = execution.failures
    assert execution.next_failure(0) == first
    assert execution.next_failure(first) == second
    assert execution.next_failure(second) is None
    assert execution.next_failure(second, backwards=True) == first


def test_the_error_stays_with_the_task_that_had_it() -> None:
    execution = model(order().run())
    pay = next(step for step in execution.steps.values() if step.name == "pay")
    error = execution.error(pay.number, execution.last)
    assert error is not None and error["title"] == "Provider is down"
    assert execution.error(ROOT, execution.last) is None


def test_the_context_is_that_of_the_position() -> None:
    execution = model(order().run())
    assert execution.context(execution.last) == {"shipped": True}
    assert execution.context(5) is msgspec.UNSET


def test_events_in_the_wrong_order_are_left_out() -> None:
    events = lazy(order().run().events)
    execution = Execution()
    assert execution.extend(events[3:]) == 0
    assert execution.extend(events[:4]) == 4
    assert execution.extend(events) == len(events) - 4


def test_data_of_another_shape_harms_nothing() -> None:
    events = list(lazy(order().run().events))
    odd = [msgspec.structs.replace(each, data=msgspec.Raw(b"[1]")) for each in events]
    execution = Execution()
    execution.extend(odd)
    for position in range(execution.last + 1):
        rows(execution, position)
        execution.waiting(position)
        assert execution.data(position) == {}


def test_what_was_open_when_the_execution_ended_has_stopped() -> None:
    driver = run("timeout: {after: {seconds: 1}}\ndo: [{w: {wait: {seconds: 5}}}]")
    execution = model(driver)
    assert execution.status(execution.last) == "faulted"
    assert {row.status for row in rows(execution, execution.last)} <= {
        "faulted",
        "stopped",
        "cancelled",
    }
