"""Alert rules and notices as JSON and as rows of a table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import text
from flunq.cli.tables import Column, render_time
from flunq.core.amounts import render_duration
from flunq.core.events import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.alerts import AlertRule, AlertTrial, AlertView, Notice, Webhook

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


def alert_lines(view: AlertView) -> Iterator[str]:
    """Yield what a person wants to know about a rule: a fact a line, its query as it is written."""
    facts = {name: value for name, value in _facts(view) if value}
    width = max(map(len, facts))
    for name, value in facts.items():
        yield f"{name.ljust(width)}  {_painted(name, text.neutralise(value))}"
    if view.rule.query:
        yield "query"
        for line in view.rule.query.strip("\n").split("\n"):
            yield f"  {text.neutralise_lines(line)}"


def _painted(name: str, value: str) -> str:
    style = text.status_style(value.partition(" ")[0]) if name == "status" else ""
    return text.paint(value, style, sys.stdout)


def _facts(view: AlertView) -> Iterator[tuple[str, str]]:
    rule = view.rule
    yield "alert", rule.name
    yield "description", rule.description
    yield "labels", _pairs(rule.labels)
    since = "" if view.since is None else f" since {render_time(timestamp(view.since))}"
    yield "status", view.status + since
    last = "" if view.last is None else f", the last time {render_time(timestamp(view.last))}"
    yield "fired", f"{view.fired} times{last}" if view.fired else "never"
    yield "problem", view.problem
    yield "looks", _looks(rule)
    yield "events", _pairs(rule.on)
    yield "when", rule.when
    yield "fires", _fires(rule)
    yield "silent", f"{_length(rule.cooldown)} after it has fired" if rule.cooldown else ""
    yield "tells", "nobody" if rule.webhook is None else _webhook(rule.webhook)
    yield "undelivered", str(view.undelivered) if view.undelivered else ""


def _looks(rule: AlertRule) -> str:
    return f"every {_length(rule.every)}" if rule.query else "at each event"


def _fires(rule: AlertRule) -> str:
    held = f" for {_length(rule.hold)}" if rule.hold else ""
    if rule.query:
        return f"while the query returns rows{held}"
    events = "1 event meets it" if rule.count == 1 else f"{rule.count} events meet it"
    return f"when {events} within {_length(rule.within)}{held}"


def _webhook(webhook: Webhook) -> str:
    signed = f", signed with the secret {webhook.secret}" if webhook.secret else ""
    headers = f", with the headers {', '.join(webhook.headers)}" if webhook.headers else ""
    return f"{webhook.url} ({webhook.format}{signed}{headers})"


def _pairs(members: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in members.items())


def _length(microseconds: int) -> str:
    return render_duration(microseconds / 1_000_000)


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
