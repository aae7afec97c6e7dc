"""DSL durations: objects of units and ISO 8601 texts, in whole microseconds.

Years and months have no fixed length, so a duration keeps them apart and is measured from the
moment it starts: one month after 31 January is the last day of February.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime
from typing import Any

import msgspec

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FOREVER = 253_402_300_799 * SECOND
"""The last second of the year 9999: no timer is due later."""

_UNITS = {
    "days": DAY,
    "hours": HOUR,
    "minutes": MINUTE,
    "seconds": SECOND,
    "milliseconds": 1_000,
}
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_ISO = re.compile(
    rf"P(?!$)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII,
)
_MAX_DIGITS = 18


class DurationError(ValueError):
    """The value is not a duration."""


class Duration(msgspec.Struct, frozen=True):
    """A length of time: calendar months and microseconds."""

    micros: int = 0
    months: int = 0

    def after(self, start: int) -> int:
        """Return the moment (microseconds since the epoch) at which it has passed."""
        end = _add_months(start, self.months) if self.months else start
        return min(end + self.micros, FOREVER)

    def approximate(self) -> int:
        """Return its length in microseconds, with months of 30 days."""
        return self.micros + self.months * 30 * DAY


def parse_duration(value: Any) -> Duration:
    """Read a duration object or an ISO 8601 text; raise DurationError for anything else."""
    if isinstance(value, dict):
        return Duration(_sum_units(value))
    if isinstance(value, str):
        return _parse_iso(value)
    raise DurationError(f"a duration is an object or an ISO 8601 text, not {_describe(value)}")


def _describe(value: Any) -> str:
    return {bool: "a boolean", int: "a number", float: "a number", list: "an array"}.get(
        type(value), "null"
    )


def _sum_units(value: dict[str, Any]) -> int:
    if not value:
        raise DurationError("a duration needs at least one unit")
    total = 0
    for unit, amount in value.items():
        factor = _UNITS.get(unit)
        if factor is None:
            raise DurationError(f"unknown unit {unit!r} in a duration")
        if type(amount) is not int or amount < 0:
            raise DurationError(f"{unit} must be a whole number that is not negative")
        total += amount * factor
    return total


def _parse_iso(text: str) -> Duration:
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groups()):
        raise DurationError(f"{text!r} is not an ISO 8601 duration")
    years, months, weeks, days, hours, minutes, seconds = (
        _scaled(number) for number in match.groups()
    )
    calendar_months, fraction = divmod(years * 12 + months, SECOND)
    micros = weeks * 7 * DAY + days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND
    return Duration((micros + fraction * 30 * DAY) // SECOND, calendar_months)


def _scaled(number: str | None) -> int:
    """Return a decimal number in millionths, exactly."""
    if not number:
        return 0
    whole, _, fraction = number.replace(",", ".").partition(".")
    if len(whole) > _MAX_DIGITS:
        raise DurationError(f"{number} is too large for a duration")
    return int(whole) * SECOND + int(fraction[:6].ljust(6, "0"))


def _add_months(start: int, months: int) -> int:
    seconds, micros = divmod(start, SECOND)
    moment = datetime.fromtimestamp(seconds, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if year > 9999:
        return FOREVER
    day = min(moment.day, monthrange(year, month + 1)[1])
    return int(moment.replace(year=year, month=month + 1, day=day).timestamp()) * SECOND + micros
