"""What starts executions by itself: when it fires next, and what became of the last times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.folding import compact
from flunq_tui.model.formats import age, stamp
from flunq_tui.views.beside import Beside
from flunq_tui.widgets.virtual_table import Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from flunq.core.protocol import ScheduleView as Schedule
    from flunq_tui.widgets.json_pane import Plain

_RUNS = 20


class SchedulesView(Beside):
    """A table, and the fires beside it."""

    NAME: ClassVar[str] = "schedules"
    PANE: ClassVar[str] = "fires"
    FACTS: ClassVar[tuple[str, ...]] = ("workflow", "status", "schedule")

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Schedule] = {}

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return [
            Column(id="workflow", title=self.say("column.workflow"), width=16, grow=2),
            Column(id="schedule", title=self.say("column.schedule"), width=14, grow=2, drop=2),
            Column(id="status", title=self.say("column.status"), width=12),
            Column(id="next", title=self.say("column.next"), width=8, right=True, drop=1),
            Column(id="last", title=self.say("column.last"), width=8, right=True, drop=3),
            Column(id="outcome", title=self.say("column.outcome"), width=10, drop=4),
        ]

    async def enter(self) -> None:
        """Read the schedules."""
        self.monitor.attempt(self.read())

    async def read(self) -> None:
        """Ask for all schedules."""
        found = await self.source.schedules()
        self._known = {f"{each.namespace}/{each.name}": each for each in found}
        self.show_rows()

    def tick(self) -> None:
        """Countdowns go on; a fire that was due has become something."""
        now = self.monitor.now()
        due = any(
            min((*each.next, *each.skipping), default=now + 1) <= now
            for each in self._known.values()
        )
        if due:
            self.monitor.attempt(self.read(), group="schedules")
        else:
            self.show_rows()

    def entries(self) -> Iterable[tuple[str, dict[str, str], Schedule]]:
        """Return key, facts and schedule of each row."""
        for key, each in self._known.items():
            yield key, {"workflow": key, "status": each.status, "schedule": describe(each)}, each

    def cells(self, key: str, each: Schedule) -> tuple[Any, ...]:
        """Return the cells of a row."""
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

    def show_beside(self) -> None:
        """Show the fires of the row."""
        key, pane = self.rows.key, self.pane
        each = self._known.get(str(key))
        if each is None:
            pane.show_lines([((self.say("empty.schedules"), "dim"),)], "none")
            return
        now, zone = self.monitor.now(), self.monitor.zone
        lines: list[Plain] = [((self.say("schedule.next"), "title"),)]
        skipped = self.say("schedule.skipped")
        for due in sorted((*each.next, *each.skipping)):
            passes = f"  {skipped}" if due in each.skipping else ""
            look = "dim" if passes else ""
            lines.append(
                ((f"  {stamp(due, zone)}", look), (f"  {age(due, now)}", "run"), (passes, "warn"))
            )
        lines.append(((self.say("schedule.last"), "title"),))
        for note in each.runs[:_RUNS]:
            look = theme.style_of(note.outcome)
            lines.append(
                (
                    (f"  {stamp(note.at, zone)}", ""),
                    (f"  {note.outcome} ", look),
                    (note.execution, "dim"),
                )
            )
        if each.problem is not None:
            lines.append(((each.problem.message, "bad"),))
        pane.show_lines(lines, key)

    def item(self, key: Hashable) -> Item | None:
        """Return a schedule."""
        each = self._known.get(str(key))
        return None if each is None else Item(str(key), each.status, "schedule", str(key))


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
