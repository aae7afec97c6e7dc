"""The tasks and the events of an execution as rows of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq_tui import theme
from flunq_tui.model.formats import age, clock, duration, short_type
from flunq_tui.model.tree import Row, span
from flunq_tui.widgets.virtual_table import Bar, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from flunq_tui.model.execution import Execution
    from flunq_tui.views.execution import ExecutionView
    from flunq_tui.widgets import virtual_table

_SIGNS = {True: "▸ ", False: "▾ ", None: "  "}


class TreeRows:
    """The lines of the tree as rows of a table."""

    def __init__(self, view: ExecutionView) -> None:
        self._view = view
        self.lines: list[Row] = []
        self._places: dict[str, int] = {}

    def take(self, lines: list[Row]) -> None:
        """Show other lines."""
        self.lines = lines
        self._places = {row.key: index for index, row in enumerate(lines)}

    def row_count(self) -> int:
        """Return how many lines there are."""
        return len(self.lines)

    def page(self, offset: int, count: int) -> Sequence[virtual_table.Row]:
        """Return some lines."""
        now = self._view.moment_shown()
        low, high = span(self.lines, now)
        return [
            (row.key, self._cells(row, now, low, high))
            for row in self.lines[offset : offset + count]
        ]

    def locate(self, key: Hashable) -> int | None:
        """Return the place of a line."""
        return self._places.get(str(key))

    def _cells(self, row: Row, now: int, low: int, high: int) -> tuple[virtual_table.Cell, ...]:
        style = theme.style_of(row.status)
        label = row.label
        if row.kind == "attempt":
            label = self._view.say("tree.attempt", number=row.attempt)
        elif row.step and row.attempt > 1:
            label = f"{label} {self._view.say('tree.times', number=row.attempt)}"
        end = now if row.end is None else row.end
        took = duration(end - row.start) if row.start else ""
        word = self._view.say(f"status.{row.status}") if row.status in theme.GLYPHS else row.status
        if row.due is not None and row.end is None:
            word = f"{word} {age(row.due, now)}" if row.due > now else word
        tree = f"{'  ' * row.depth}{_SIGNS[row.folded]}{label}"
        return (
            tree,
            (row.kind, "dim"),
            (f"{theme.glyph(row.status)} {word}", style),
            took,
            Bar(row.start, end, low, high, style or "run"),
        )


class EventRows:
    """The events of the execution as rows of a table."""

    def __init__(self, view: ExecutionView) -> None:
        self._view = view

    def row_count(self) -> int:
        """Return how many events are known."""
        return self._view.execution.last

    def page(self, offset: int, count: int) -> Sequence[virtual_table.Row]:
        """Return some events."""
        execution = self._view.execution
        found = execution.events[offset : offset + count]
        return [(event.seq, self._cells(execution, event.seq)) for event in found]

    def locate(self, key: Hashable) -> int | None:
        """Return the place of an event."""
        return key - 1 if isinstance(key, int) else None

    def _cells(self, execution: Execution, seq: int) -> tuple[virtual_table.Cell, ...]:
        event = execution.events[seq - 1]
        kind = short_type(event.type)
        step = execution.steps.get(execution.step_of(seq))
        word = kind.rpartition(".")[2]
        since = execution.moment(seq) - execution.moment(1)
        monitor = self._view.monitor
        return (
            str(seq),
            clock(execution.moment(seq), monitor.zone),
            (f"+{duration(since)}", "dim"),
            (kind, theme.style_of(word)),
            step.name if step is not None else "",
        )


def tree_columns(text: Callable[[str], str]) -> list[Column]:
    """Return the columns of the tree."""
    return [
        Column(id="task", title=text("column.task"), width=20, grow=3),
        Column(id="kind", title=text("column.kind"), width=10, grow=1, drop=3),
        Column(id="status", title=text("column.status"), width=16),
        Column(id="took", title=text("column.took"), width=7, right=True, drop=1),
        Column(id="timeline", title=text("column.timeline"), width=10, grow=4, drop=2),
    ]


def event_columns(text: Callable[[str], str]) -> list[Column]:
    """Return the columns of the events."""
    return [
        Column(id="seq", title="#", width=5, right=True),
        Column(id="time", title=text("column.time"), width=12, drop=1),
        Column(id="since", title=text("column.since"), width=8, right=True, drop=2),
        Column(id="event", title=text("column.event"), width=18, grow=1),
        Column(id="task", title=text("column.task"), width=10, grow=1),
    ]
