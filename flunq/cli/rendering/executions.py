"""Executions, results and definitions as ``-o json`` prints them, and as rows of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.cli import text
from flunq.cli.output import compact_json
from flunq.cli.rendering.events import task_name
from flunq.cli.tables import Column
from flunq.core.events import timestamp
from flunq.core.ids import split_timer

if TYPE_CHECKING:
    from flunq.core.execution.commands import Failure
    from flunq.core.protocol import Definition, Details, Result, Summary

EXECUTION_COLUMNS = (
    Column("id", whole=True),
    Column("workflow"),
    Column("status", kind="status"),
    Column("started_at", "started", kind="time"),
    Column("duration", kind="duration"),
    Column("tags", spare=True),
)
WORKFLOW_COLUMNS = (
    Column("workflow", whole=True),
    Column("version", whole=True),
    Column("latest"),
    Column("paused"),
    Column("created_at", "registered", kind="time"),
    Column("digest"),
    Column("title"),
)
_QUEUED = ("", "queue")
_TIMERS = {"w": "wait", "r": "retry", "t": "timeout", "a": "timeout of the attempt", "c": "starts"}


def workflow_json(namespace: str, name: str, version: str) -> dict[str, str]:
    """Return the reference to a workflow."""
    return {"namespace": namespace, "name": name, "version": version}


def failure_json(failure: Failure | None) -> dict[str, Any] | None:
    """Return a DSL error."""
    if failure is None:
        return None
    return {
        "type": failure.type,
        "status": failure.status,
        "title": failure.title,
        "detail": failure.detail,
        "instance": failure.instance,
    }


def result_json(result: Result, workflow: dict[str, str]) -> dict[str, Any]:
    """Return how an execution ended; to the outside a quarantined one has faulted."""
    status = "faulted" if result.status == "quarantined" else result.status
    return {
        "id": result.id,
        "workflow": workflow,
        "status": status,
        "output": result.output,
        "error": failure_json(result.failure),
    }


def summary_json(summary: Summary | Details) -> dict[str, Any]:
    """Return an execution of a list."""
    return {
        "id": summary.id,
        "workflow": workflow_json(summary.namespace, summary.workflow, summary.version),
        "status": summary.status,
        "started_at": timestamp(summary.started_at),
        "ended_at": timestamp(summary.ended_at) if summary.ended_at else None,
        "duration_ms": _milliseconds(summary),
        "tags": summary.tags,
        "parent": summary.parent,
    }


def summary_row(summary: Summary) -> dict[str, Any]:
    """Return an execution as a row."""
    duration = _milliseconds(summary)
    return {
        "id": summary.id,
        "workflow": f"{summary.workflow}:{summary.version}",
        "status": summary.status,
        "started_at": timestamp(summary.started_at),
        "duration": None if duration is None else duration / 1000,
        "tags": " ".join(f"{key}={value}" for key, value in summary.tags.items()) or None,
    }


def details_json(details: Details, suspended_at: int | None = None) -> dict[str, Any]:
    """Return everything about an execution but its history."""
    return {
        **summary_json(details),
        "digest": details.digest,
        "partition": details.partition,
        "seq": details.seq,
        "input": details.input,
        "output": details.output,
        "context": details.context,
        "error": failure_json(details.failure),
        "waiting": [_waiting_json(item) for item in details.waiting],
        "suspended_at": timestamp(suspended_at) if suspended_at else None,
        "reason": details.reason or None,
    }


def details_record(
    details: Details, suspended_at: int | None = None, *, width: int | None = None
) -> tuple[dict[str, Any], list[Column]]:
    """Return an execution as ``name  value`` lines; values are cut to ``width`` cells."""
    row = summary_row(details_summary(details))
    record: dict[str, Any] = {
        "id": details.id,
        "workflow": f"{details.namespace}/{details.workflow}:{details.version}",
        "status": details.status,
        "suspended": timestamp(suspended_at) if suspended_at else None,
        "reason": details.reason or None,
        "started": row["started_at"],
        "ended": timestamp(details.ended_at) if details.ended_at else None,
        "duration": row["duration"],
        "tags": row["tags"],
        "parent": details.parent,
        "events": details.seq,
        "input": _value_text(details.input, width),
        "output": None if details.output is None else _value_text(details.output, width),
        "error": failure_text(details.failure) if details.failure else None,
    }
    for item in details.waiting:
        record[f"waits for {_waiting_name(item)}"] = _waiting_text(item)
    kinds = {
        "status": "status",
        **dict.fromkeys(("suspended", "started", "ended"), "time"),
        "duration": "duration",
    }
    present = {key: value for key, value in record.items() if value is not None}
    return present, [Column(key, kind=kinds.get(key, "text")) for key in present]  # type: ignore[arg-type]


def _value_text(value: Any, width: int | None) -> str:
    content = compact_json(value)
    return content if width is None else text.shorten(content, width)


def details_summary(details: Details) -> Summary:
    """Return the part of the details that a list shows."""
    from flunq.core.protocol import Summary

    members = {name: getattr(details, name) for name in Summary.__struct_fields__}
    return Summary(**members)


def failure_text(failure: Failure) -> str:
    """Return a DSL error as one line."""
    kind = failure.title or failure.type.rpartition("/")[2]
    parts = [f"{kind} ({failure.status})", failure.detail]
    place = f" at {failure.instance}" if failure.instance else ""
    return ": ".join(part for part in parts if part) + place


def ending_text(result: Result) -> str:
    """Return how an execution ended: a line, and more about its error below."""
    failure = result.failure
    if failure is None:
        was = "was " if result.status == "cancelled" else ""
        return f"execution {result.id} {was}{result.status}"
    lines = [f"execution {result.id} {result.status}: {failure_text(failure)}"]
    lines.append(f"  type      {failure.type}")
    if failure.instance is not None:
        lines.append(f"  instance  {failure.instance}")
    return "\n".join(lines)


def definition_json(definition: Definition) -> dict[str, Any]:
    """Return a registered version."""
    members: dict[str, Any] = msgspec.to_builtins(definition)
    return {**members, "created_at": timestamp(definition.created_at)}


def definition_row(definition: Definition) -> dict[str, Any]:
    """Return a registered version as a row."""
    return {
        "workflow": f"{definition.namespace}/{definition.name}",
        "version": definition.version,
        "latest": definition.latest,
        "paused": _paused(definition),
        "created_at": timestamp(definition.created_at),
        "digest": definition.digest[:12],
        "title": definition.title or None,
    }


def _paused(definition: Definition) -> str | None:
    if not definition.paused:
        return None
    what = "yes" if definition.paused == "all" else "starts"
    return f"{what}: {definition.pause_reason}" if definition.pause_reason else what


def _milliseconds(summary: Summary | Details) -> float | None:
    if not summary.ended_at:
        return None
    return round((summary.ended_at - summary.started_at) / 1000, 3)


def _waiting_json(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "due": timestamp(item["due"])} if "due" in item else item


def _waiting_name(item: dict[str, Any]) -> str:
    task = item.get("task")
    return task_name(str(task)) if task else _purpose(item)


def _purpose(item: dict[str, Any]) -> str:
    letter = split_timer(item["timer"])[1] if "timer" in item else ""
    return _TIMERS.get(letter, str(item.get("for")))


def _waiting_text(item: dict[str, Any]) -> str:
    from flunq.cli.tables import render_time

    if "starts" in item and _purpose(item) == "starts":
        return f"collects until {render_time(timestamp(item['due']))}, {item['starts']} so far"
    if "due" in item:
        return f"{_purpose(item)}, due {render_time(timestamp(item['due']))}"
    where = f" on {item['node']}" if item.get("node") else ""
    if item.get("node") in _QUEUED:
        where = ", on the queue for an executor that hosts it"
    return f"{item.get('kind', item.get('for'))}, attempt {item.get('attempt', 1)}{where}"
