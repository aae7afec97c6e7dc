"""Breakers, limits and collected starts as JSON and as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli.output import compact_json
from flunq.cli.tables import Column
from flunq.core.events import timestamp
from flunq.core.traffic import rate_text

if TYPE_CHECKING:
    from flunq.core.flow import LimitView, PauseView, TargetView
    from flunq.core.protocol import GroupView

TARGET_COLUMNS = (
    Column("target"),
    Column("state"),
    Column("calls", kind="number"),
    Column("failures", kind="number"),
    Column("waiting", kind="number"),
    Column("since", kind="time"),
    Column("until", kind="time"),
    Column("reason"),
)
LIMIT_COLUMNS = (
    Column("name"),
    Column("rate"),
    Column("concurrency", kind="number"),
    Column("running", kind="number"),
    Column("waiting", kind="number"),
    Column("holds for"),
)

GROUP_COLUMNS = (
    Column("workflow"),
    Column("key"),
    Column("kind"),
    Column("starts", kind="number"),
    Column("due", "begins", kind="time"),
    Column("status", kind="status"),
    Column("execution", whole=True),
)


def target_json(view: TargetView) -> dict[str, Any]:
    """Return a target; moments are date-times."""
    members: dict[str, Any] = msgspec.to_builtins(view)
    for name in ("since", "until"):
        members[name] = None if members[name] is None else timestamp(members[name])
    return members


def target_row(view: TargetView) -> dict[str, Any]:
    """Return a target as a row."""
    members = target_json(view)
    names = ("target", "state", "calls", "failures", "waiting", "since", "until", "reason")
    return {name: members[name] for name in names}


def pause_json(view: PauseView) -> dict[str, Any]:
    """Return a pause of a workflow; its moment is a date-time."""
    members: dict[str, Any] = msgspec.to_builtins(view)
    return {**members, "since": timestamp(view.since)}


def limit_json(view: LimitView) -> dict[str, Any]:
    """Return a limit; its rate is a text, as in documents."""
    return {
        "name": view.name,
        "rate": rate_text(view.count, view.per) if view.count else None,
        "concurrency": view.concurrency or None,
        "set": view.set,
        "choice": view.choice or None,
        "running": view.running,
        "waiting": view.waiting,
    }


def limit_row(view: LimitView) -> dict[str, Any]:
    """Return a limit as a row."""
    members = limit_json(view)
    named = "tasks that name it" if view.set else "its workflow"
    row = {name: members[name] for name in ("name", "rate", "concurrency", "running", "waiting")}
    return {**row, "holds for": view.choice or named}


def group_json(view: GroupView) -> dict[str, Any]:
    """Return starts that are collected; moments are date-times."""
    members: dict[str, Any] = msgspec.to_builtins(view)
    due = None if view.due is None else timestamp(view.due)
    return {**members, "size": view.size or None, "since": timestamp(view.since), "due": due}


def group_row(view: GroupView) -> dict[str, Any]:
    """Return starts that are collected as a row; of a batch also how many it may have."""
    members = group_json(view)
    row = {column.key: members[column.key] for column in GROUP_COLUMNS}
    of_size = f" of {view.size}" if view.size else ""
    key = view.key if isinstance(view.key, str) else compact_json(view.key)
    return {**row, "key": None if view.key is None else key, "starts": f"{view.starts}{of_size}"}
