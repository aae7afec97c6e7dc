"""Cron expressions with time zones: when they fire, daylight saving time included.

Five fields (minute, hour, day of the month, month, day of the week), six with seconds in front, or
a macro such as ``@daily``. A local time that a clock change skips fires once, right after the gap;
one that comes twice fires once, the first time. Expressions whose minute or hour begins with a
star follow elapsed time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_LAST_YEAR = 9_900
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronError(ValueError):
    """The expression or the time zone cannot be used."""


class Cron:
    """A checked cron expression in a time zone."""

    __slots__ = ("_minutes", "_seconds", "expression", "zone")

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        """Check both; raise CronError."""
        self.expression = expression
        self.zone = time_zone(zone)
        fields = _fields(expression)
        text = " ".join(fields)
        try:
            self._seconds = sorted(CronSim(text, _EPOCH).seconds)
        except (CronSimError, AssertionError) as error:
            raise CronError(f"{expression!r} is not a cron expression: {error}") from error
        self._minutes = " ".join(fields[-5:])

    def next_fire(self, after: int) -> int | None:
        """Return the first fire later than ``after`` (microseconds), or None if there is none."""
        fires = self.fires(after, 1)
        return fires[0] if fires else None

    def fires(self, after: int, limit: int, *, upto: int | None = None) -> list[int]:
        """Return up to ``limit`` fires later than ``after``, in order, none after ``upto``."""
        found: list[int] = []
        last = after
        for due in self._due_times(after):
            if len(found) >= limit or (upto is not None and due > upto):
                break
            # Several skipped local times fall together right after the gap.
            if due > last:
                found.append(due)
                last = due
        return found

    def _due_times(self, after: int) -> Iterator[int]:
        # A minute early: its later seconds may still be due.
        start = (_EPOCH + timedelta(microseconds=after - _MINUTE)).astimezone(self.zone)
        if start.year >= _LAST_YEAR:
            return
        for moment in CronSim(self._minutes, start):
            minute = micros_of(moment)
            for second in self._seconds:
                yield minute + second * _SECOND


def time_zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name; raise CronError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CronError(f"unknown time zone {name!r}") from error


def _fields(expression: str) -> list[str]:
    text = expression.strip()
    if text.startswith("@"):
        if text.lower() not in MACROS:
            known = ", ".join(MACROS)
            raise CronError(f"unknown macro {text!r}; there are {known}")
        text = MACROS[text.lower()]
    return text.split()


def micros_of(moment: datetime) -> int:
    """Return a moment that knows its time zone in microseconds."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
