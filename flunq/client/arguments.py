"""Arguments of a client: checked before they are sent."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from flunq.errors import UsageError

T = TypeVar("T")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def checked(value: Any, kind: type[T], rule: str) -> T:
    """Return what may be sent: one that an owner cannot read takes its neighbours along."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{rule}: {error}") from None


def checked_trace(traceparent: str | None) -> str | None:
    """Return a W3C trace context that somebody goes on."""
    if traceparent is not None and TRACEPARENT.fullmatch(traceparent) is None:
        raise UsageError(f"{traceparent!r} is no trace context", hint="00-TRACE-SPAN-01")
    return traceparent


def checked_priority(value: int | str) -> int:
    """Return the priority that somebody named; raises UsageError."""
    from flunq.core.traffic import TrafficError, priority_of  # few starts name one

    try:
        return priority_of(value)
    except TrafficError as error:
        raise UsageError(str(error)) from None
