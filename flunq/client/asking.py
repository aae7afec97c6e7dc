"""What a document says of its tasks that wait for a person."""

from __future__ import annotations

from typing import Any


def asked_of(document: dict[str, Any], pointer: str) -> dict[str, Any] | None:
    """Return ``metadata.approval`` of the task at a pointer."""
    return _approval_of(task_at(document, pointer))


def asks_anybody(value: Any) -> bool:
    """Tell whether any part of a document waits for a person."""
    if isinstance(value, list):
        return any(map(asks_anybody, value))
    if not isinstance(value, dict):
        return False
    return _approval_of(value) is not None or any(map(asks_anybody, value.values()))


def task_at(document: Any, pointer: str) -> dict[str, Any]:
    """Return the task at a pointer; empty where there is none."""
    value = document
    for part in pointer.strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)] if name.isdecimal() and int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _approval_of(task: dict[str, Any]) -> dict[str, Any] | None:
    metadata = task.get("metadata")
    found = metadata.get("approval") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else None
