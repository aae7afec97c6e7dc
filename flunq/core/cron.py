"""Cron expressions with time zones: when they fire, daylight saving time included.

A local time that a clock change skips fires right after the gap; one that comes twice fires
once, the first time. Expressions that run every hour or minute follow elapsed time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CronError(ValueError):
    """The expression or the time zone cannot be used."""


class Cron:
    """A checked cron expression in a time zone."""

    __slots__ = ("expression", "zone")

    def __init__(self, expression: str, zone: str = "UTC") -> None:
        """Check both; raise CronError."""
        self.expression = expression
        try:
            self.zone = UTC if zone == "UTC" else ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise CronError(f"unknown time zone {zone!r}") from error
        try:
            CronSim(expression, _EPOCH)
        except CronSimError as error:
            raise CronError(f"{expression!r} is not a cron expression: {error}") from error

    def next_fire(self, after: int) -> int | None:
        """Return the first fire later than ``after`` (microseconds), or None if there is none."""
        fires = self.fires(after, 1)
        return fires[0] if fires else None

    def fires(self, after: int, limit: int) -> list[int]:
        """Return up to ``limit`` fires later than ``after``, in order."""
        start = (_EPOCH + timedelta(microseconds=after)).astimezone(self.zone)
        found: list[int] = []
        for moment in CronSim(self.expression, start):
            due = _micros(moment)
            if due > after:
                found.append(due)
            if len(found) >= limit:
                break
        return found


def _micros(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
