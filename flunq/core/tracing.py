"""W3C trace contexts: which trace an execution belongs to, and the spans of it and of its tasks.

Spans are named by what they stand for, so whoever makes them makes the same: the one that an
execution hands to a service, and the one that is made of its events later.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

import msgspec

HEADER = "traceparent"
_CONTEXT = re.compile(
    r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """A span of a trace, and whether anybody wants to see that trace."""

    trace: str
    span: str
    sampled: bool = True

    def __str__(self) -> str:
        """Return it as the header has it."""
        return f"00-{self.trace}-{self.span}-{'01' if self.sampled else '00'}"


def read_context(text: str | None) -> TraceContext | None:
    """Read a ``traceparent``; what is damaged counts as none."""
    found = None if text is None else _CONTEXT.fullmatch(text)
    if found is None:
        return None
    sampled = bool(int(found[3], 16) & _SAMPLED)
    return TraceContext(trace=found[1], span=found[2], sampled=sampled)


def context_of_events(events: Any) -> str | None:
    """Return the context of the first event that has one: what events start goes on with it."""
    for event in events if isinstance(events, list) else ():
        text = event.get(HEADER) if isinstance(event, dict) else None
        if isinstance(text, str) and read_context(text) is not None:
            return text
    return None


def span_of(trace: str, execution: str, task: str = "") -> str:
    """Return the span of an attempt of a task, by its id, or of the execution itself."""
    return blake2b(f"{trace}\n{execution}\n{task}".encode(), digest_size=8).hexdigest()


def first_context(trace: str, execution: str) -> str:
    """Return the context of an execution that a trace begins with."""
    return str(TraceContext(trace=trace, span=span_of(trace, execution)))


def begins_trace(context: TraceContext, execution: str) -> bool:
    """Tell whether a context is the execution's own: its span has no parent."""
    return context.span == span_of(context.trace, execution)


def context_for(traceparent: str | None, execution: str, task: str) -> str | None:
    """Return the context of what an attempt of a task does elsewhere, by its id."""
    context = read_context(traceparent)
    if context is None:
        return traceparent
    return str(msgspec.structs.replace(context, span=span_of(context.trace, execution, task)))
