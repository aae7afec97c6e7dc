"""Trace contexts: read, damaged, begun and handed on."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.tracing import (
    begins_trace,
    context_for,
    context_of_events,
    first_context,
    read_context,
    span_of,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_a_sound_context_is_read_and_written_as_it_was() -> None:
    context = read_context(GIVEN)
    assert context is not None
    assert (context.trace, context.span, context.sampled) == (TRACE, "00f067aa0ba902b7", True)
    assert str(context) == GIVEN


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
    ],
)
def test_a_damaged_context_counts_as_none(text: str | None) -> None:
    assert read_context(text) is None


def test_a_later_version_may_say_more() -> None:
    context = read_context(f"01-{TRACE}-00f067aa0ba902b7-00-more")
    assert context is not None
    assert not context.sampled


def test_what_a_task_hands_on_is_its_own_span_in_the_same_trace() -> None:
    handed = read_context(context_for(GIVEN, "e1", "e1.abc.1"))
    assert handed is not None
    assert handed.trace == TRACE
    assert handed.span == span_of(TRACE, "e1", "e1.abc.1")
    assert handed.span != span_of(TRACE, "e1", "e1.abc.2")
    assert context_for(None, "e1", "e1.abc.1") is None


def test_only_a_context_of_its_own_begins_a_trace() -> None:
    own = read_context(first_context(TRACE, "e1"))
    assert own is not None
    assert begins_trace(own, "e1")
    assert not begins_trace(own, "e2")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (None, None),
        ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, None),
        ([{}, "text", {"traceparent": 7}, {"traceparent": "damaged"}], None),
        (
            [
                {"traceparent": "damaged"},
                {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
                {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01"},
            ],
            f"00-{'a' * 32}-{'b' * 16}-01",
        ),
    ],
)
def test_an_execution_goes_on_the_trace_of_the_first_event_with_one(
    events: Any, expected: str | None
) -> None:
    assert context_of_events(events) == expected
