"""Schedules as ``-o json`` prints them, and as rows of tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import text
from flunq.cli.tables import Column, render_time
from flunq.core.amounts import render_duration
from flunq.core.cron import time_zone
from flunq.core.events import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flunq.core.protocol import Fired, ScheduleView
    from flunq.core.scheduling.state import Note

SCHEDULE_COLUMNS = (
    Column("workflow", whole=True),
    Column("version"),
    Column("schedule"),
    Column("status", kind="status"),
    Column("next", kind="time"),
    Column("last", kind="time"),
    Column("outcome", kind="status"),
)
FIRE_COLUMNS = (
    Column("local", "fires at", whole=True),
    Column("timezone"),
    Column("at", "that is", kind="time"),
    Column("skipped"),
)
FIRED_COLUMNS = (
    Column("at", "fire", whole=True),
    Column("id", whole=True),
    Column("outcome", kind="status"),
    Column("detail"),
)
RUN_COLUMNS = (
    Column("at", "due", kind="time"),
    Column("cause"),
    Column("outcome", kind="status"),
    Column("id", whole=True),
    Column("detail"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def schedule_json(view: ScheduleView) -> dict[str, Any]:
    """Return a schedule with moments as date-times and lengths in seconds."""
    members: dict[str, Any] = msgspec.to_builtins(view)
    moments = {name: _moment(members[name]) for name in ("since", "paused_at", "skip_upto")}
    problem = view.problem and {"at": timestamp(view.problem.at), "message": view.problem.message}
    return {
        **members,
        **moments,
        "catch_up": view.catch_up / 1_000_000,
        "next": [timestamp(due) for due in view.next],
        "skipping": [timestamp(due) for due in view.skipping],
        "counts": {name: getattr(view.counts, name) for name in view.counts.__struct_fields__},
        "runs": [run_json(note) for note in view.runs],
        "problem": problem,
    }


def run_json(note: Note) -> dict[str, Any]:
    """Return what became of a fire."""
    return {
        "at": timestamp(note.at),
        "cause": note.cause,
        "outcome": note.outcome,
        "id": note.execution or None,
        "detail": note.detail or None,
        "noted_at": timestamp(note.noted_at),
    }


def schedule_row(view: ScheduleView) -> dict[str, Any]:
    """Return a schedule as a row."""
    last = view.runs[0] if view.runs else None
    return {
        "workflow": f"{view.namespace}/{view.name}",
        "version": view.version,
        "schedule": describe(view),
        "status": view.status,
        "next": timestamp(view.next[0]) if view.next and view.status == "active" else None,
        "last": last and timestamp(last.at),
        "outcome": last and last.outcome,
    }


def describe(view: ScheduleView) -> str:
    """Return what starts executions, in a few words."""
    return ", ".join(_part(kind, view.schedule.get(kind), view.timezone) for kind in view.kinds)


def fire_json(due: int, zone: str, *, skipped: bool = False) -> dict[str, Any]:
    """Return a fire: the moment, and what the clocks of its time zone show."""
    moment = (_EPOCH + timedelta(microseconds=due)).astimezone(time_zone(zone))
    precise = "seconds" if due % 1_000_000 == 0 else "milliseconds"
    local = moment.isoformat(timespec=precise)
    return {"at": timestamp(due), "local": local, "timezone": zone, "skipped": skipped}


def fired_json(fired: Fired) -> dict[str, Any]:
    """Return what became of a fire that somebody asked for."""
    return {
        "at": timestamp(fired.at),
        "id": fired.id,
        "outcome": fired.outcome or None,
        "detail": fired.detail or None,
    }


def schedule_lines(view: ScheduleView) -> Iterator[str]:
    """Yield what a person wants to know about a schedule."""
    facts = dict(_facts(view))
    width = max(map(len, facts))
    for name, value in facts.items():
        yield f"{name.ljust(width)}  {text.neutralise(value)}"


def _facts(view: ScheduleView) -> Iterable[tuple[str, str]]:
    yield "workflow", f"{view.namespace}/{view.name}:{view.version}"
    yield "schedule", describe(view) or "-"
    status = view.status
    if view.paused_at is not None:
        reason = f": {view.reason}" if view.reason else ""
        status = f"{status} since {render_time(timestamp(view.paused_at))}{reason}"
    yield "status", status
    late = f"{view.missed}, up to {render_duration(view.catch_up / 1_000_000)} late"
    yield "policies", f"overlap {view.overlap}; missed fires: {late}; time zone {view.timezone}"
    if view.next:
        yield "next", moments_text(view.next, view.timezone)
    if view.skipping:
        yield "skips", moments_text(view.skipping, view.timezone)
    waiting = [f"{view.waiting_events} events"] if view.waiting_events else []
    waiting += [f"{view.queued} is queued"] if view.queued else []
    if waiting:
        yield "waiting", ", ".join(waiting)
    if view.running:
        yield "running", ", ".join(view.running)
    counts = view.counts
    tally = {name: getattr(counts, name) for name in counts.__struct_fields__}
    yield "so far", ", ".join(f"{number} {name}" for name, number in tally.items())
    if view.problem is not None:
        when = render_time(timestamp(view.problem.at))
        yield "problem", f"{view.problem.message} ({when})"


def moments_text(due: Iterable[int], zone: str) -> str:
    """Return moments by the clocks of a time zone, and how far away they are."""
    shown = [(fire_json(each, zone)["local"], render_time(timestamp(each))) for each in due]
    return ", ".join(f"{local} ({when})" for local, when in shown)


def _part(kind: str, value: Any, zone: str) -> str:
    if kind == "cron":
        return f"cron {value}" if zone == "UTC" else f"cron {value} ({zone})"
    if kind == "on":
        return f"on {_events(value)}"
    return f"{kind} {_length(value)}"


def _length(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{amount} {_unit(unit, amount)}" for unit, amount in value.items())
    return str(value)


def _unit(unit: str, amount: Any) -> str:
    return unit[:-1] if amount == 1 and unit.endswith("s") else unit


def _events(strategy: Any) -> str:
    mode = next((mode for mode in ("one", "any", "all") if mode in strategy), "one")
    filters = strategy.get(mode) or []
    filters = filters if isinstance(filters, list) else [filters]
    types = [str((each.get("with") or {}).get("type", "any")) for each in filters]
    names = ", ".join(types) or "every event"
    return names if mode == "one" else f"{mode} of {names}"


def _moment(value: int | None) -> str | None:
    return None if value is None else timestamp(value)
