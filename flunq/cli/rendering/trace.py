"""What ``--trace`` adds: the events an execution published, its lifecycle and its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.cli.rendering.events import event_json, task_name
from flunq.core import events as types

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.core.events import LazyEvent

_LIFECYCLE = "io.serverlessworkflow."
_ENDS = {
    types.TASK_COMPLETED: "completed",
    types.TASK_FAULTED: "faulted",
    types.TASK_CANCELLED: "cancelled",
}


def trace_of(history: Iterable[LazyEvent]) -> dict[str, Any]:
    """Return the members ``events``, ``lifecycle`` and ``tasks``."""
    lifecycle: list[dict[str, Any]] = []
    published: list[dict[str, Any]] = []
    tasks: dict[int, dict[str, Any]] = {}
    emitting: set[int] = set()
    for event in history:
        if not event.type.startswith(_LIFECYCLE):
            continue
        shown = event_json(event)
        lifecycle.append(shown)
        data = shown["data"]
        step = data.get("step")
        if event.type == types.TASK_STARTED:
            tasks[step] = _task(str(data["task"]))
            if data.get("kind") == "emit":
                emitting.add(step)
        elif event.type in _ENDS and step in tasks:
            tasks[step]["status"] = _ENDS[event.type]
            if step in emitting and event.type == types.TASK_COMPLETED:
                published.append(data["output"])
    return {"events": published, "lifecycle": lifecycle, "tasks": list(tasks.values())}


def _task(reference: str) -> dict[str, Any]:
    return {"name": task_name(reference), "reference": reference, "status": "running"}
