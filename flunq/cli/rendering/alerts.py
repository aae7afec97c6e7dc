"""Alert rules and notices as JSON and as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli.tables import Column
from flunq.core.events import timestamp

if TYPE_CHECKING:
    from flunq.core.alerts import AlertTrial, AlertView, Notice

ALERT_COLUMNS = (
    Column("name"),
    Column("status"),
    Column("since", kind="time"),
    Column("fired", kind="number"),
    Column("about"),
    Column("problem"),
)
NOTICE_COLUMNS = (
    Column("time", kind="time"),
    Column("rule"),
    Column("number", kind="number"),
    Column("status"),
    Column("delivery"),
    Column("tries", kind="number"),
    Column("problem"),
)
_LENGTHS = ("every", "within", "for", "cooldown")


def _moment(time: int | None) -> str | None:
    return None if time is None else timestamp(time)


def alert_json(view: AlertView) -> dict[str, Any]:
    """Return a rule and how it is; lengths of time are seconds."""
    rule: dict[str, Any] = msgspec.to_builtins(view.rule)
    for name in _LENGTHS:
        if name in rule:
            rule[name] /= 1_000_000
    return {
        "name": view.rule.name,
        "status": view.status,
        "since": _moment(view.since),
        "fired": view.fired,
        "last": _moment(view.last),
        "undelivered": view.undelivered,
        "problem": view.problem or None,
        "rule": rule,
    }


def alert_row(view: AlertView) -> dict[str, Any]:
    """Return a rule as a row."""
    shown = alert_json(view)
    about = "query" if view.rule.query else view.rule.on.get("type", "events")
    names = ("name", "status", "since", "fired", "problem")
    return {**{name: shown[name] for name in names}, "about": about}


def notice_json(notice: Notice) -> dict[str, Any]:
    """Return a notice; its moments are date-times."""
    shown: dict[str, Any] = {
        "rule": notice.rule,
        "number": notice.number,
        "status": notice.status,
        "time": timestamp(notice.time),
        "since": timestamp(notice.since),
        "delivery": notice.delivery or "waiting",
        "tries": notice.tries,
        "problem": notice.problem or None,
    }
    return {**shown, "value": notice.value} if notice.status == "firing" else shown


def notice_row(notice: Notice) -> dict[str, Any]:
    """Return a notice as a row."""
    shown = notice_json(notice)
    names = ("time", "rule", "number", "status", "delivery", "tries", "problem")
    return {name: shown[name] for name in names}


def trial_json(trial: AlertTrial) -> dict[str, Any]:
    """Return what came of a test."""
    shown: dict[str, Any] = {"name": trial.name, "holds": trial.holds, "value": trial.value}
    return {**shown, "lookedAt": trial.looked_at} if trial.looked_at else shown
