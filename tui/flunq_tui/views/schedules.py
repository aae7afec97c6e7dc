"""What starts executions by itself: when it fires next, and what became of the last times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical

from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.filters import parse_filter
from flunq_tui.model.folding import compact
from flunq_tui.model.formats import age, stamp
from flunq_tui.views.base import Parts, View
from flunq_tui.views.bounded import BoundedRows
from flunq_tui.widgets.json_pane import JsonPane, Plain
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult
    from textual.events import Resize

    from flunq.core.protocol import ScheduleView as Schedule
    from flunq_tui.widgets.lines import Lines

_FACTS = ("workflow", "status", "schedule")
_RUNS = 20


class SchedulesView(View):
    """A table, and the fires beside it."""

    NAME: ClassVar[str] = "schedules"
    DEFAULT_CSS = """
    SchedulesView #body { height: 1fr; layout: horizontal; }
    SchedulesView #body.-narrow { layout: vertical; }
    SchedulesView #left { width: 1fr; height: 1fr; }
    SchedulesView #right { width: 1fr; height: 1fr; border-left: vkey $panel; }
    SchedulesView .-narrow #right { border-left: none; }
    SchedulesView .-right-alone #left { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows = BoundedRows()
        self._known: dict[str, Schedule] = {}
        self._dirty = False

    def compose(self) -> ComposeResult:
        """Table and fires."""
        columns = [
            Column(id="workflow", title=self.say("column.workflow"), width=16, grow=2),
            Column(id="schedule", title=self.say("column.schedule"), width=14, grow=2, drop=2),
            Column(id="status", title=self.say("column.status"), width=12),
            Column(id="next", title=self.say("column.next"), width=8, right=True, drop=1),
            Column(id="last", title=self.say("column.last"), width=8, right=True, drop=3),
            Column(id="outcome", title=self.say("column.outcome"), width=10, drop=4),
        ]
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield VirtualTable(columns, self._rows, id="schedules")
            with Vertical(id="right"):
                yield JsonPane(id="fires")

    def on_resize(self, event: Resize) -> None:
        """Beside each other where there is room."""
        self.query_one("#body").set_class(event.size.width < 100, "-narrow")

    async def enter(self) -> None:
        """Read the schedules."""
        self.monitor.attempt(self.read())

    async def read(self) -> None:
        """Ask for all schedules."""
        found = await self.source.schedules()
        self._known = {f"{each.namespace}/{each.name}": each for each in found}
        self._show()

    def tick(self) -> None:
        """Countdowns go on; a fire that was due has become something."""
        now = self.monitor.now()
        due = any(each.next and each.next[0] <= now for each in self._known.values())
        if due:
            self.monitor.attempt(self.read(), group="schedules")
        else:
            self._show()

    def _show(self) -> None:
        wanted = parse_filter(self.filter_text, _FACTS)
        rows = []
        for key, each in self._known.items():
            facts = {"workflow": key, "status": each.status, "schedule": describe(each)}
            if wanted.accepts(facts):
                rows.append((key, self._cells(key, each)))
        self._rows.take(rows)
        self.query_one("#schedules", VirtualTable).reload()
        self._show_fires()
        self.retitle()

    def _cells(self, key: str, each: Schedule) -> tuple[Any, ...]:
        now = self.monitor.now()
        last = each.runs[0] if each.runs else None
        upcoming = each.next[0] if each.next and each.status == "active" else None
        return (
            key,
            describe(each),
            (
                f"{theme.glyph(each.status)} {self.say(f'status.{each.status}')}",
                theme.style_of(each.status),
            ),
            age(upcoming, now),
            (age(last.at, now) if last else "", "dim"),
            (last.outcome if last else "", "dim"),
        )

    def _show_fires(self) -> None:
        key = self.query_one("#schedules", VirtualTable).key
        each = self._known.get(str(key))
        pane = self.query_one("#fires", JsonPane)
        if each is None:
            pane.show_lines([((self.say("empty.schedules"), "dim"),)], "none")
            return
        now, zone = self.monitor.now(), self.monitor.zone
        lines: list[Plain] = [((self.say("schedule.next"), "title"),)]
        lines += [
            ((f"  {stamp(due, zone)}", ""), (f"  {age(due, now)}", "run")) for due in each.next
        ]
        lines.append(((self.say("schedule.last"), "title"),))
        for note in each.runs[:_RUNS]:
            look = theme.style_of(note.outcome)
            lines.append(
                ((f"  {stamp(note.at, zone)}", ""), (f"  {note.outcome} ", look), (note.id, "dim"))
            )
        if each.problem is not None:
            lines.append(((each.problem.message, "bad"),))
        pane.show_lines(lines, key)

    def title(self) -> Parts:
        """Return how many there are."""
        count = self._rows.row_count()
        parts: Parts = [(self.say("view.schedules"), "bold"), (f"  {count}", "")]
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        if not count:
            parts.append((f"  {self.say('empty.schedules')}", "dim"))
        return parts

    def set_filter(self, text: str) -> None:
        """Show only what a filter wants."""
        parse_filter(text, _FACTS)
        self.filter_text = text.strip()
        self._show()

    def item(self, key: Hashable) -> Item | None:
        """Return a schedule."""
        each = self._known.get(str(key))
        return None if each is None else Item(str(key), each.status, "schedule", str(key))

    def items(self) -> tuple[Item, ...]:
        """Return the chosen schedules, wherever the focus is."""
        chosen = self.query_one("#schedules", VirtualTable).chosen()
        return tuple(item for key in chosen if (item := self.item(key)) is not None)

    def on_lines_moved(self, event: Lines.Moved) -> None:
        """Show the fires of the row."""
        event.stop()
        if event.lines.id == "schedules":
            self._show_fires()
            self.monitor.show_hints()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Show the executions of the workflow, or the one that a fire started."""
        event.stop()
        key = self.query_one("#schedules", VirtualTable).key
        if isinstance(key, str):
            self.monitor.show_view("executions", filter_text=f"workflow={key}")

    def do_zoom(self) -> None:
        """Show the fires alone."""
        self.query_one("#body").toggle_class("-right-alone")


def describe(schedule: Schedule) -> str:
    """Return what starts executions, in a few words."""
    parts = []
    for kind in schedule.kinds:
        value = schedule.schedule.get(kind)
        if isinstance(value, dict) and kind in ("every", "after"):
            text = " ".join(f"{amount} {unit}" for unit, amount in value.items())
        else:
            text = value if isinstance(value, str) else compact(value, 80)
        parts.append(f"{kind} {text}")
    zone = "" if schedule.timezone == "UTC" else f" ({schedule.timezone})"
    return ", ".join(parts) + zone
