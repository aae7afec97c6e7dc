"""The cluster at a glance: rates, what is open, what failed, what is promised."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll

from flunq_tui import theme
from flunq_tui.model.formats import age, duration, rate, size
from flunq_tui.model.rates import sparkline
from flunq_tui.source import Query
from flunq_tui.views.base import Parts, View
from flunq_tui.widgets.short_list import ShortList
from flunq_tui.widgets.status_lines import OneLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.widget import Widget

    from flunq.core.protocol import LakeView, Summary
    from flunq.services.supervising.statefile import ClusterState
    from flunq_tui.source import Events, Queue
    from flunq_tui.widgets.lines import Lines

_OPEN = ("running", "waiting", "suspended")
_COUNTED = 1_000
_LINES = 30
_LOOK_EVERY = 5
"""Seconds between two questions for what no event tells."""


class OverviewView(View):
    """A page of lines that are always true."""

    NAME: ClassVar[str] = "overview"
    DEFAULT_CSS = "OverviewView VerticalScroll { padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._open: Counter[str] = Counter()
        self._more: set[str] = set()
        self._failed: list[Summary] = []
        self._cluster: ClusterState | None = None
        self._archive: LakeView | None = None
        self._queues: Sequence[Queue] = ()
        self._dirty = True
        self._ticks = 0

    def compose(self) -> ComposeResult:
        """Lines, filled later."""
        with VerticalScroll(can_focus=False):
            for number in range(_LINES):
                yield OneLine(id=f"line-{number}")
            yield ShortList(id="failures")

    def first_focus(self) -> Widget | None:
        """Return the list of what failed: the one thing here to move in."""
        return self.query_one("#failures", ShortList)

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Show the execution that failed."""
        event.stop()
        execution = self.query_one("#failures", ShortList).key
        if execution is not None:
            self.monitor.open_execution(execution)

    def on_resize(self) -> None:
        """Draw the rates as wide as there is room."""
        self._show()

    async def enter(self) -> None:
        """Ask for everything."""
        self.monitor.attempt(self._read(), group="overview")

    async def _read(self) -> None:
        self._dirty = False
        self._cluster = await self.source.cluster()
        for status in _OPEN:
            found = await self.source.executions(Query(statuses=(status,), limit=_COUNTED))
            self._open[status] = len(found)
            (self._more.add if len(found) == _COUNTED else self._more.discard)(status)
        query = Query(statuses=("faulted", "quarantined"), limit=8)
        self._failed = list(await self.source.executions(query))
        self._archive = await self.source.archive()
        self._queues = await self.source.queues()
        self._show()

    def hear(self, events: Events) -> None:
        """Counts are old now."""
        self._dirty = True

    def tick(self) -> None:
        """Rates go on; counts are asked for only when something happened."""
        self._ticks += 1
        if self._dirty and self._ticks % _LOOK_EVERY == 0:
            self.monitor.attempt(self._read(), group="overview")
        self._show()

    def title(self) -> Parts:
        """Return the name."""
        return [(self.say("view.overview"), "bold")]

    def _show(self) -> None:
        blocks = [self._traffic(), self._open_lines(), self._promises(), self._failures()]
        lines: list[Parts] = []
        for block in blocks:
            lines += [*block, []]
        del lines[-1]
        for number in range(_LINES):
            line = self.query_one(f"#line-{number}", OneLine)
            line.display = number < len(lines)
            line.show_parts(*(lines[number] if line.display else []))
        self.query_one("#failures", ShortList).show_lines(self._failed_lines())

    def _head(self, message: str, *more: tuple[str, str]) -> Parts:
        return [(self.say(message).ljust(14), "bold"), *more]

    def _traffic(self) -> list[Parts]:
        meters, now = self.monitor.meters, self.monitor.now()
        width = max(10, min(60, self.size.width - 30))
        lines: list[Parts] = []
        for name in ("events", "started", "ended", "failed"):
            series = meters.seconds[name]
            values = series.values(now, width)
            look = "$error" if name == "failed" and any(values) else "$primary"
            amount = self.say("overview.rate", rate=rate(series.per_second(now)))
            lines.append(
                self._head(
                    f"overview.{name}", (sparkline(values, width), look), (f"  {amount}", "")
                )
            )
        minutes = meters.minutes.values(now, width)
        lines.append(
            self._head("overview.minutes", (sparkline(minutes, width), "$accent"), ("", ""))
        )
        return lines

    def _open_lines(self) -> list[Parts]:
        parts: Parts = []
        for status in _OPEN:
            count = f"{self._open[status]:,}{'+' if status in self._more else ''}"
            look = {"run": "$primary", "warn": "$warning"}.get(theme.style_of(status), "")
            word = self.say(f"status.{status}")
            parts.append((f"{theme.glyph(status)} {word} {count}   ", look))
        return [self._head("overview.open", *parts)]

    def _promises(self) -> list[Parts]:
        from flunq.services.supervising.statefile import DURABILITY_IN_WORDS

        lines: list[Parts] = []
        state = self._cluster
        if state is not None:
            words = DURABILITY_IN_WORDS.get(state.durability, "")
            lines.append(self._head("overview.durability", (f"{state.durability}: {words}", "")))
            bad = [each.name for each in state.services if each.state != "ready"]
            health = (
                (self.say("overview.unwell", names=", ".join(bad)), "$error")
                if bad
                else (self.say("overview.well", count=len(state.services)), "$success")
            )
            lines.append(self._head("overview.services", health))
        else:
            lines.append(self._head("overview.services", (self.say("overview.elsewhere"), "dim")))
        if self._queues:
            lines.append(self._head("overview.queues", *self._waiting()))
        lake = self._archive
        if lake is not None:
            behind = f"{lake.state}, {self.say('overview.behind', count=lake.behind)}"
            room = f"{lake.rows:,} {self.say('overview.rows')}, {size(lake.bytes)}"
            lines.append(self._head("overview.archive", (f"{behind}; {room}", "")))
        return lines

    def _waiting(self) -> Parts:
        """Return how far all who read the queues are behind, and who is it the most."""
        waiting = sum(each.waiting for each in self._queues)
        taken = sum(each.unconfirmed for each in self._queues)
        parts: Parts = [(self.say("overview.waiting", waiting=waiting, taken=taken), "")]
        longest = max(self._queues, key=lambda each: each.waiting)
        if longest.waiting:
            most = self.say("overview.longest", reader=longest.reader, count=longest.waiting)
            parts.append((f"; {most}", "$warning"))
        return parts

    def _failures(self) -> list[Parts]:
        if not self._failed:
            return [self._head("overview.failures", (self.say("overview.none"), "dim"))]
        return [self._head("overview.failures")]

    def _failed_lines(self) -> dict[str, Parts]:
        """Return a line for each of the newest failures, by its id."""
        now = self.monitor.now()
        return {each.id: _failed_line(each, now) for each in self._failed}


def _failed_line(each: Summary, now: int) -> Parts:
    took = duration((each.ended_at or now) - each.started_at)
    when = age(each.ended_at or each.started_at, now)
    return [
        (f"  {theme.glyph(each.status)} ", "bad"),
        (f"{each.workflow}:{each.version}".ljust(24), ""),
        (f" {each.id}", "dim"),
        (f"  {when} {took}", "dim"),
    ]
