"""Durations of the DSL, as executors need them."""

from __future__ import annotations

from typing import Any

from flunq.core.duration import DurationError, parse_duration
from flunq.sdk.executor import TaskError


def seconds(value: Any, what: str) -> float:
    """Return the length of a duration object or ISO 8601 text; a month has 30 days."""
    try:
        return parse_duration(value).approximate() / 1_000_000
    except DurationError as error:
        raise TaskError("validation", 400, "Not a valid duration", f"{what}: {error}") from error
