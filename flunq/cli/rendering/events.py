"""Events of executions: as CloudEvents for scripts, as rows and lines for people."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import text
from flunq.cli.session import OutputFormat, TimeFormat, current
from flunq.cli.tables import Column, render_time
from flunq.core.events import short_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.events import LazyEvent

COLUMNS = (
    Column("seq", kind="number"),
    Column("time", whole=True),
    Column("event", whole=True),
    Column("task"),
    Column("detail"),
)
_DETAIL_WIDTH = 100
_MICROSECONDS = 1_000_000


def event_json(event: LazyEvent) -> dict[str, Any]:
    """Return the CloudEvent as it is stored."""
    members: dict[str, Any] = msgspec.to_builtins(
        {
            name: getattr(event, name)
            for name in event.__struct_fields__
            if name != "data" and getattr(event, name) is not msgspec.UNSET
        }
    )
    members["data"] = event.value()
    return members


def event_row(event: LazyEvent) -> dict[str, Any]:
    """Return an event as a row of ``flunq history``."""
    data = event.value() or {}
    return {
        "seq": event.seq,
        "time": event_time(event.time),
        "event": short_type(event.type),
        "task": task_name(str(data["task"])) if data.get("task") else None,
        "detail": event_detail(data) or None,
    }


def event_line(event: LazyEvent) -> str:
    """Return an event as a line of ``flunq tail``."""
    row = event_row(event)
    status = event.type.removesuffix(".v1").rpartition(".")[2]
    name = text.neutralise(str(row["event"])).ljust(18)
    event_text = text.paint(name, text.status_style(status), sys.stdout)
    task = text.neutralise(row["task"] or "").ljust(12)
    parts = [str(row["time"]), text.neutralise(event.subject), event_text, task]
    detail = text.shorten(str(row["detail"] or ""), _DETAIL_WIDTH)
    return "  ".join([*parts, detail]).rstrip()


def event_time(moment: str) -> str:
    """Return a moment as ``--time`` asks; events are read in order, so the clock is the default."""
    if current().output is OutputFormat.CSV:
        return moment
    if current().time is TimeFormat.RELATIVE:
        local = datetime.fromisoformat(moment).astimezone()
        return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
    return render_time(moment)


def task_name(reference: str) -> str:
    """Return the last name of a task's JSON pointer."""
    return reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def event_detail(data: dict[str, Any]) -> str:
    """Return what is worth knowing of an event, on one line."""
    for member, show in _DETAILS.items():
        if member in data:
            return text.neutralise(show(data[member]))
    return ""


def _error(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    title = error.get("title") or str(error.get("type", "")).rpartition("/")[2]
    detail = f": {error['detail']}" if error.get("detail") else ""
    return f"{title} ({error.get('status')}){detail}"


def _value(value: Any) -> str:
    from flunq.cli.output import compact_json

    content = compact_json(value)
    return content if len(content) <= _DETAIL_WIDTH else content[: _DETAIL_WIDTH - 3] + "..."


def _due(due: Any) -> str:
    return f"until {datetime.fromtimestamp(due / _MICROSECONDS).astimezone():%Y-%m-%d %H:%M:%S}"


def _dispatch(dispatch: Any) -> str:
    return f"{dispatch['kind']} {_value(dispatch.get('arguments'))}"


_DETAILS: dict[str, Callable[[Any], str]] = {
    "error": _error,
    "due": _due,
    "dispatch": _dispatch,
    "purpose": str,
    "reason": str,
    "output": lambda value: f"output {_value(value)}",
    "input": lambda value: f"input {_value(value)}",
    "kind": str,
}
