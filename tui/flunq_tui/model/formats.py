"""Moments, lengths and sizes as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from flunq.core.amounts import largest_unit, render_bytes, render_duration, to_come

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS = 1_000_000


def micros(time: str) -> int:
    """Return an RFC 3339 date-time as microseconds since the epoch; 0 for what is none."""
    try:
        return (datetime.fromisoformat(time) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError):
        return 0


def duration(microseconds: int | None) -> str:
    """Return ``12ms``, ``3.4s``, ``2m05s``, ``3h20m`` or ``4d03h``."""
    if microseconds is None:
        return ""
    return render_duration(max(microseconds, 0) / MICROSECONDS)


def age(moment: int | None, now: int) -> str:
    """Return how long ago a moment was, in one unit; ``in 5s`` for one to come."""
    if not moment:
        return ""
    seconds = (now - moment) / MICROSECONDS
    return f"in {to_come(-seconds)}" if seconds <= -1 else largest_unit(abs(seconds))


def clock(moment: int | None, zone: tzinfo | None = None, *, precise: bool = True) -> str:
    """Return the time of day of a moment, by the clock of this machine or of a zone."""
    if not moment:
        return ""
    try:
        local = (_EPOCH + timedelta(microseconds=moment)).astimezone(zone)
    except (OverflowError, OSError, ValueError):
        return str(moment)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}" if precise else f"{local:%H:%M:%S}"


def stamp(moment: int | None, zone: tzinfo | None = None) -> str:
    """Return date and time of a moment."""
    if not moment:
        return ""
    try:
        return f"{(_EPOCH + timedelta(microseconds=moment)).astimezone(zone):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return str(moment)


def size(count: int | None) -> str:
    """Return a number of bytes with the nearest binary unit."""
    if count is None:
        return ""
    return render_bytes(count)


def rate(per_second: float) -> str:
    """Return a rate with as many digits as matter."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def short_type(type_name: str) -> str:
    """Return ``task.completed`` for ``io.serverlessworkflow.task.completed.v1``."""
    return (
        type_name.removeprefix("io.serverlessworkflow.")
        .removesuffix(".v1")
        .removeprefix("io.flunq.")
    )


def task_name(reference: str) -> str:
    """Return the last name of a task's JSON pointer."""
    return reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
