"""How events look to people and to scripts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flunq.cli.rendering.events import event_json, event_line, event_row, task_name
from flunq.cli.rendering.filters import EventFilter
from flunq.core.events import LazyEvent, short_type


def event(kind: str, data: dict[str, Any], **members: Any) -> LazyEvent:
    return LazyEvent(
        id="run:3",
        source="/flunq/default/partitions/0",
        type=kind,
        time="2026-11-20T10:00:00.250000Z",
        subject="run",
        seq=3,
        data=msgspec.Raw(msgspec.json.encode(data)),
        **members,
    )


TASK = "io.serverlessworkflow.task."


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("io.serverlessworkflow.workflow.started.v1", "workflow.started"),
        (f"{TASK}faulted.v1", "task.faulted"),
        ("io.flunq.timer.fired", "timer.fired"),
        ("com.example.paid", "com.example.paid"),
    ],
)
def test_types_are_shortened(full: str, short: str) -> None:
    assert short_type(full) == short


def test_a_task_is_named_by_the_end_of_its_pointer() -> None:
    assert task_name("/do/0/a~1b~0c") == "a/b~c"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        ({"error": {"title": "Not Found", "status": 404, "detail": "GET"}}, "Not Found (404): GET"),
        ({"output": {"n": 1}}, 'output {"n":1}'),
        ({"dispatch": {"kind": "http", "arguments": {"a": 1}}}, 'http {"a":1}'),
        ({"reason": "en\x1bough"}, "en\\eough"),
        ({}, None),
    ],
)
def test_the_detail_is_what_matters(data: dict[str, Any], detail: str | None) -> None:
    assert event_row(event(f"{TASK}completed.v1", data))["detail"] == detail


def test_a_line_has_execution_event_and_task() -> None:
    line = event_line(event(f"{TASK}completed.v1", {"task": "/do/0/greet", "output": 1}))
    assert line.split()[1:] == ["run", "task.completed", "greet", "output", "1"]


def test_json_is_the_cloudevent_as_it_is_stored() -> None:
    shown = event_json(event(f"{TASK}completed.v1", {"a": 1}, tenant="blue", partition=2))
    assert shown["data"] == {"a": 1}
    assert (shown["specversion"], shown["tenant"], shown["seq"]) == ("1.0", "blue", 3)
    assert "traceparent" not in shown


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        (EventFilter(), True),
        (EventFilter(statuses=["completed", "faulted"]), True),
        (EventFilter(statuses=["started"]), False),
        (EventFilter(types=["task"]), True),
        (EventFilter(types=["workflow"]), False),
        (EventFilter(types=["io.serverlessworkflow.task"]), True),
        (EventFilter(workflows=["order"]), True),
        (EventFilter(workflows=["shop/order:1.0.0"]), True),
        (EventFilter(workflows=["orde"]), False),
        (EventFilter(statuses=["completed"], workflows=["other"]), False),
    ],
)
def test_filters_of_different_kinds_all_have_to_agree(chosen: EventFilter, wanted: bool) -> None:
    shown = event(f"{TASK}completed.v1", {}, workflow="shop/order:1.0.0")
    assert chosen.wants(shown) is wanted


def test_a_line_shows_what_documents_named_without_obeying_it() -> None:
    line = event_line(event(f"{TASK}created.v1", {"task": "/do/0/a\x1b]0;title\x07\u202eb"}))
    assert "a\\e]0;title\\x07\\u202eb" in line
