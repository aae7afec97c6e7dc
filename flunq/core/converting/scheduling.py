"""When a workflow starts: intervals and cron expressions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.cron import Cron, CronError, time_zone
from flunq.core.duration import DurationError, parse_duration

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node

_INTERVAL = re.compile(r"(?:R\d*/)?(?:[^P/][^/]*/)?(P[^/]+)(?:/[^/]+)?")
_PLAIN = re.compile(r"R/P[^/]+|P[^/]+")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY_NUMBER = re.compile(r"(?<![#/\d])[1-7](?!\d)")


def schedule(wanted: Node) -> dict[str, Any] | None:
    """Return the schedule, or None where there is none that can be kept."""
    if isinstance(wanted.value, str):
        return _every(wanted)
    if not wanted.expect(dict):
        return None
    wanted.only("interval", "cron", "timezone")
    if (interval := wanted.get("interval")) is not None:
        return _every(interval) if interval.expect(str) else None
    cron = wanted.get("cron")
    return None if cron is None else _cron(cron)


def zone(wanted: Node) -> str | None:
    """Return the time zone of a schedule, if it has one; the metadata is the place for it."""
    if not isinstance(wanted.value, dict) or not (name := wanted.text("timezone")):
        return None
    try:
        time_zone(name)
    except CronError as error:
        wanted.leave_out("timezone", str(error), "schedule")
        return None
    return name


def _every(interval: Node) -> dict[str, Any] | None:
    found = _INTERVAL.fullmatch(interval.value)
    if found is None or not _is_duration(found[1]):
        interval.problem("this interval has no counterpart; it was left out", "schedule")
        return None
    if not _PLAIN.fullmatch(interval.value):
        interval.problem(
            "the beginning, the end and the number of repetitions of an interval were left out",
            "schedule",
        )
    return {"every": found[1]}


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except DurationError:
        return False
    return True


def _cron(cron: Node) -> dict[str, Any] | None:
    expression = cron
    if isinstance(cron.value, dict):
        cron.only("expression", "validUntil")
        cron.leave_out("validUntil", "a cron expression has no end", "schedule")
        found = cron.get("expression")
        if found is None:
            return None
        expression = found
    if not expression.expect(str):
        return None
    converted = _fields(expression.value)
    if converted is None:
        expression.problem("this cron expression has no counterpart; it was left out", "schedule")
        return None
    return {"cron": converted}


def _fields(text: str) -> str | None:
    """Return a cron expression without years and needless seconds; None if it cannot be kept."""
    fields = [re.sub(r"^0/", "*/", field.replace("?", "*")) for field in text.split()]
    if len(fields) == 7 and fields.pop() != "*":
        return None
    if len(fields) == 6:
        # With seconds the days of a week are numbered from 1, without them from 0.
        fields[5] = _DAY_NUMBER.sub(lambda day: _DAYS[int(day[0]) - 1], fields[5])
        if fields[0] in ("0", "00"):
            del fields[0]
    expression = " ".join(fields)
    try:
        Cron(expression)
    except CronError:
        return None
    return expression
