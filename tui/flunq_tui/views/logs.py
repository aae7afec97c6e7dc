"""What the services of a cluster on this machine log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.formats import clock, micros
from flunq_tui.views.rings import RingView
from flunq_tui.widgets.virtual_table import Column

if TYPE_CHECKING:
    from collections.abc import Hashable

    from flunq.telemetry.lines import LogLine
    from flunq_tui.views.base import Parts
    from flunq_tui.widgets.lines import Lines
    from flunq_tui.widgets.virtual_table import Cell

LEVELS = ("debug", "info", "warning", "error")
_READ = 2_000
_EVERY = 2
"""Seconds between two looks at the files, while the view is shown."""


class LogsView(RingView["LogLine"]):
    """The merged logs, newest at the end."""

    NAME: ClassVar[str] = "logs"
    FACTS: ClassVar[tuple[str, ...]] = ("level", "service", "message", "logger", "id")

    def __init__(self) -> None:
        super().__init__()
        self._least = 0
        """Place of the level from which on lines are shown."""
        self._last = ""
        self._ticks = 0

    def columns(self) -> list[Column]:
        """Return the columns."""
        return [
            Column(id="time", title=self.say("column.time"), width=12, drop=2),
            Column(id="service", title=self.say("column.service"), width=10, drop=1),
            Column(id="level", title=self.say("column.level"), width=8),
            Column(id="message", title=self.say("column.message"), width=20, grow=1),
        ]

    def cells(self, item: LogLine) -> tuple[Cell, ...]:
        """Return a line as a row."""
        words = [item.message, f"({item.error})" if item.error else ""]
        words.append(f"[{item.execution}]" if item.execution else "")
        return (
            (clock(micros(item.time), self.monitor.zone), "dim"),
            (item.service, "key"),
            (item.level, theme.style_of(item.level)),
            " ".join(word for word in words if word),
        )

    def facts(self, item: LogLine) -> dict[str, Any]:
        """Return what filters compare."""
        return {
            "level": item.level,
            "service": item.service,
            "message": f"{item.message} {item.error or ''}",
            "logger": item.logger or "",
            "id": item.execution or "",
        }

    def wants(self, item: LogLine) -> bool:
        """Tell whether a line is important enough."""
        level = item.level.lower()
        return level not in LEVELS or LEVELS.index(level) >= self._least

    def more_title(self) -> Parts:
        """Return from which level on lines are shown."""
        return [(f"  >= {LEVELS[self._least]}", "$accent")] if self._least else []

    def do_level(self) -> None:
        """Show only what is more important; after the most important, everything."""
        self._least = (self._least + 1) % len(LEVELS)
        self.refilter()

    async def enter(self) -> None:
        """Read the ends of the logs."""
        await super().enter()
        self.monitor.attempt(self._read())

    def tick(self) -> None:
        """Look for more."""
        self._ticks += 1
        if self._ticks % _EVERY == 0 and not self.paused:
            self.monitor.attempt(self._read())

    async def _read(self) -> None:
        lines = await self.source.logs(_READ)
        fresh = [line for line in lines if line.time > self._last]
        if fresh:
            self._last = fresh[-1].time
            self.take(fresh)

    def item(self, key: Hashable) -> Item | None:
        """Return a line as something to copy."""
        return Item(str(key), "", "log")

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Show the execution that the line is about."""
        event.stop()
        chosen = self.chosen_item()
        if chosen is not None and chosen.execution:
            self.monitor.open_execution(chosen.execution)

    def text_to_copy(self) -> str:
        """Return the line."""
        chosen = self.chosen_item()
        return "" if chosen is None else f"{chosen.time} {chosen.service} {chosen.message}"
