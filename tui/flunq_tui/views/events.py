"""Every event of the tenant as it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.folding import compact
from flunq_tui.model.formats import clock, micros, short_type, task_name
from flunq_tui.views.rings import RingView
from flunq_tui.widgets.virtual_table import Column

if TYPE_CHECKING:
    from collections.abc import Hashable

    from flunq.core.events import LazyEvent
    from flunq_tui.source import Events
    from flunq_tui.widgets.lines import Lines
    from flunq_tui.widgets.virtual_table import Cell

_DETAIL = 300
_MEMBERS = ("error", "output", "input", "reason", "purpose", "value", "event")


class EventsView(RingView["LazyEvent"]):
    """A live tail; older events are in the executions."""

    NAME: ClassVar[str] = "events"
    FACTS: ClassVar[tuple[str, ...]] = ("event", "id", "workflow", "task", "detail", "partition")

    def on_mount(self) -> None:
        """Take what was heard before the view was opened."""
        self.take(self.monitor.early)
        self.monitor.early.clear()

    def columns(self) -> list[Column]:
        """Return the columns."""
        return [
            Column(id="time", title=self.say("column.time"), width=12, drop=2),
            Column(id="event", title=self.say("column.event"), width=18, grow=1),
            Column(id="id", title=self.say("column.execution"), width=14, grow=2, drop=1),
            Column(id="task", title=self.say("column.task"), width=12, grow=1),
            Column(id="workflow", title=self.say("column.workflow"), width=14, grow=1, drop=4),
            Column(id="detail", title=self.say("column.detail"), width=12, grow=3, drop=3),
        ]

    def cells(self, item: LazyEvent) -> tuple[Cell, ...]:
        """Return an event as a row; only those on the screen are decoded."""
        kind = short_type(item.type)
        task, detail = _decoded(item)
        return (
            (clock(micros(item.time), self.monitor.zone), "dim"),
            (kind, theme.style_of(kind.rpartition(".")[2])),
            item.subject,
            task,
            (item.workflow.partition("/")[2], "dim"),
            (detail, "dim"),
        )

    def facts(self, item: LazyEvent) -> dict[str, Any]:
        """Return what filters compare."""
        task, detail = _decoded(item)
        return {
            "event": short_type(item.type),
            "id": item.subject,
            "workflow": item.workflow,
            "task": task,
            "detail": detail,
            "partition": item.partition,
        }

    def hear(self, events: Events) -> None:
        """Keep what comes."""
        self.take(events)

    def item(self, key: Hashable) -> Item | None:
        """Return the execution of an event."""
        event = self.ring.get(key) if isinstance(key, int) else None
        return None if event is None else Item(event.subject, "", "event", event.workflow)

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Show the execution."""
        event.stop()
        chosen = self.chosen_item()
        if chosen is not None and chosen.subject:
            self.monitor.open_execution(chosen.subject)

    def text_to_copy(self) -> str:
        """Return the event as JSON."""
        chosen = self.chosen_item()
        return "" if chosen is None else msgspec.json.encode(chosen).decode()


def _decoded(event: LazyEvent) -> tuple[str, str]:
    try:
        data = event.value()
    except msgspec.DecodeError:
        return "", ""
    if not isinstance(data, dict):
        return "", ""
    task = task_name(str(data["task"])) if data.get("task") else ""
    for member in _MEMBERS:
        if data.get(member) not in (None, "", {}):
            return task, _detail(member, data[member])
    return task, ""


def _detail(member: str, value: Any) -> str:
    if member == "error" and isinstance(value, dict):
        title = value.get("title") or str(value.get("type", "")).rpartition("/")[2]
        detail = f": {value['detail']}" if value.get("detail") else ""
        return f"{title} ({value.get('status')}){detail}"[:_DETAIL]
    return f"{member} {compact(value, _DETAIL)}"
