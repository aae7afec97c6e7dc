"""The history of an execution, as spans are made from it."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core import events as types
from flunq.core.events import LazyEvent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"


def event(seq: int, type: str, trace: str | None = GIVEN, **data: Any) -> LazyEvent:
    return LazyEvent(
        id=f"e1:{seq}",
        source="/flunq/default/partitions/0",
        type=type,
        time=f"2026-03-01T12:00:{seq:02d}.000000Z",
        subject="e1",
        tenant="default",
        workflow="shop/order:1.0.0",
        seq=seq,
        data=msgspec.Raw(msgspec.json.encode(data)),
        traceparent=msgspec.UNSET if trace is None else trace,
    )


def history(trace: str | None = GIVEN) -> list[LazyEvent]:
    error = {"type": "https://x/teapot", "status": 418, "title": "Teapot"}
    call = {"id": "x", "kind": "http", "key": "k"}
    given: list[tuple[str, dict[str, Any]]] = [
        (types.WORKFLOW_STARTED, {}),
        (types.TASK_STARTED, {"step": 2, "task": "/do/0/safe", "kind": "try"}),
        (
            types.TASK_STARTED,
            {
                "step": 3,
                "parent": 2,
                "task": "/do/0/safe/try/0/pay",
                "kind": "call",
                "dispatch": call,
            },
        ),
        (types.TASK_FAULTED, {"step": 3, "task": "/do/0/safe/try/0/pay", "error": error}),
        (types.TASK_RETRIED, {"step": 2, "task": "/do/0/safe", "error": error, "attempt": 2}),
        (types.TASK_COMPLETED, {"step": 2, "task": "/do/0/safe"}),
        (types.WORKFLOW_COMPLETED, {}),
    ]
    return [event(seq, kind, trace, **data) for seq, (kind, data) in enumerate(given, 1)]
