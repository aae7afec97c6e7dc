"""What ``--trace`` makes of a history."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.cli.rendering.trace import trace_of
from flunq.core.events import LazyEvent


def history(*steps: tuple[str, dict[str, Any]]) -> list[LazyEvent]:
    return [
        LazyEvent(
            id=f"run:{seq}",
            source="/x",
            type=kind if "." in kind else f"io.serverlessworkflow.task.{kind}.v1",
            time="2026-11-20T10:00:00Z",
            subject="run",
            seq=seq,
            data=msgspec.Raw(msgspec.json.encode(data)),
        )
        for seq, (kind, data) in enumerate(steps, 1)
    ]


def test_tasks_stand_in_the_order_of_their_start_with_their_last_status() -> None:
    shown = trace_of(
        history(
            ("started", {"step": 1, "task": "/do/0/outer"}),
            ("started", {"step": 2, "task": "/do/0/outer/do/0/inner"}),
            ("faulted", {"step": 2, "task": "/do/0/outer/do/0/inner"}),
            ("cancelled", {"step": 1, "task": "/do/0/outer"}),
            ("started", {"step": 3, "task": "/do/1/last"}),
        )
    )
    assert [(task["name"], task["status"]) for task in shown["tasks"]] == [
        ("outer", "cancelled"),
        ("inner", "faulted"),
        ("last", "running"),
    ]


def test_events_are_what_emit_tasks_published() -> None:
    event = {"id": "1", "type": "a.b", "source": "/x", "specversion": "1.0"}
    shown = trace_of(
        history(
            ("started", {"step": 1, "task": "/do/0/tell", "kind": "emit"}),
            ("completed", {"step": 1, "task": "/do/0/tell", "output": event}),
            ("started", {"step": 2, "task": "/do/1/set", "kind": "set"}),
            ("completed", {"step": 2, "task": "/do/1/set", "output": {"n": 1}}),
        )
    )
    assert shown["events"] == [event]


def test_engine_events_are_not_part_of_the_lifecycle() -> None:
    shown = trace_of(history(("io.flunq.timer.fired", {}), ("started", {"step": 1, "task": "/a"})))
    assert [event["seq"] for event in shown["lifecycle"]] == [2]
