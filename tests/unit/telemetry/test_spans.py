"""Spans made from real histories: names, parents, times, retries, what was seen before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core import events as types
from flunq.core.ids import task_id
from flunq.core.tracing import first_context, span_of
from flunq.telemetry.spans import CLIENT, Span, SpanMaker, UnknownExecutionError
from tests.support.traces import GIVEN, TRACE, event, history

if TYPE_CHECKING:
    from flunq.core.events import LazyEvent


def spans_of(events: list[LazyEvent], maker: SpanMaker | None = None) -> list[Span]:
    maker = maker or SpanMaker("default")
    return [span for each in events for span in maker.take(each)]


def test_an_execution_and_its_tasks_are_spans_below_each_other() -> None:
    pay, safe, order = spans_of(history())
    assert [pay.name, safe.name, order.name] == ["pay", "safe", "shop/order"]
    assert (pay.parent, safe.parent, order.parent) == (safe.span, order.span, "00f067aa0ba902b7")
    assert {pay.trace, safe.trace, order.trace} == {TRACE}
    assert (order.start, order.end - order.start) == (1_772_366_401_000_000, 6_000_000)
    assert (pay.kind, pay.error) == (CLIENT, "Teapot")
    assert pay.attributes["flunq.status"] == "faulted"
    assert [note.name for note in safe.notes] == ["retry"]
    assert order.error is None


def test_the_span_of_a_task_is_what_the_task_handed_on() -> None:
    pay = spans_of(history())[0]
    step = task_id("e1", "/do/0/safe/try/0/pay", "", 1)
    assert pay.span == span_of(TRACE, "e1", step)


def test_a_trace_that_the_execution_began_has_no_parent_outside() -> None:
    order = spans_of(history(first_context(TRACE, "e1")))[-1]
    assert (order.trace, order.parent) == (TRACE, "")


def test_without_a_context_the_spans_are_the_same_each_time() -> None:
    first, second = spans_of(history(None)), spans_of(history(None))
    assert first == second
    assert len({span.span for span in first}) == 3
    assert first[-1].parent == ""


def test_nobody_is_told_of_a_trace_that_is_not_sampled() -> None:
    assert spans_of(history(GIVEN[:-1] + "0")) == []


def test_a_history_that_is_shown_later_gives_the_same_spans() -> None:
    *before, last = history()
    maker = SpanMaker("default")
    with pytest.raises(UnknownExecutionError):
        maker.take(last)
    spans_of(before, maker)
    assert maker.take(last) == spans_of(history())[-1:]


def test_what_goes_on_after_its_end_gets_spans_of_its_own() -> None:
    frames = {"2": {"parent": 0, "reference": "/do/0/safe", "kind": "try"}}
    again = [
        event(8, "io.flunq.execution.retried", state={"frames": frames}),
        event(9, types.TASK_COMPLETED, step=2, task="/do/0/safe"),
        event(10, types.WORKFLOW_COMPLETED),
    ]
    found = spans_of([*history(), *again])
    order, safe, retried = found[2:]
    assert (safe.parent, retried.parent) == (retried.span, order.span)
    assert retried.name == "shop/order retried"
    assert len({span.span for span in found}) == 5


def test_what_was_open_at_the_end_has_ended() -> None:
    events = [*history()[:3], event(4, types.WORKFLOW_CANCELLED, reason="enough")]
    pay, safe, order = sorted(spans_of(events), key=lambda span: span.start, reverse=True)
    assert {span.attributes["flunq.status"] for span in (pay, safe, order)} == {"cancelled"}
    assert order.attributes["flunq.reason"] == "enough"


def test_only_so_many_executions_are_remembered() -> None:
    maker = SpanMaker("default", most_kept=1)
    maker.take(history()[0])
    other = msgspec.structs.replace(history()[0], subject="e2")
    maker.take(other)
    assert (maker.knows("e1"), maker.knows("e2")) == (False, True)
