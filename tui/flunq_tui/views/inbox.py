"""What waits for people: questions, dead letters, what has failed, what is held."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.filters import parse_filter
from flunq_tui.model.formats import age
from flunq_tui.model.inbox import FACTS, ORDER, Matter, of_letter, sort_key
from flunq_tui.views.base import Parts, View
from flunq_tui.views.bounded import BoundedRows
from flunq_tui.views.inbox_reading import InboxReading
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from textual.app import ComposeResult

    from flunq_tui.source import Events
    from flunq_tui.widgets.lines import Lines

_EVERY = 3
"""Seconds between two looks while events come, if they are short."""
_REST = 5
"""So many times as long as it took to look the cluster is left alone."""


class InboxView(View):
    """A list of matters, each with what there is to know before one acts."""

    NAME: ClassVar[str] = "inbox"

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self._rows = BoundedRows()
        self._matters: dict[str, Matter] = {}
        self._found: InboxReading | None = None
        self._changed: set[str] = set()
        """Executions of which what is known is old."""
        self._dirty = False
        self._pause = _EVERY
        self._readings = 0
        """Those under way; one that was begun anew may still be ending."""
        self._ticks = 0
        self._loaded = False

    def compose(self) -> ComposeResult:
        """Draw the table."""
        say = self.say
        columns = [
            Column(id="status", title=say("column.status"), width=13),
            Column(id="workflow", title=say("column.workflow"), width=14, grow=1, drop=3),
            Column(id="id", title="ID", width=14, grow=2, drop=2),
            Column(id="age", title=say("column.age"), width=6, right=True, drop=1),
            Column(id="detail", title=say("column.detail"), width=20, grow=4),
        ]
        yield VirtualTable(columns, self._rows)

    def on_mount(self) -> None:
        """Show the columns of the last time."""
        self.recall_columns(self.the_table)

    @property
    def the_table(self) -> VirtualTable:
        """The table."""
        return self.query_one(VirtualTable)

    # -- reading -----------------------------------------------------------------------------------

    @property
    def _reading(self) -> InboxReading:
        if self._found is None:
            self._found = InboxReading(self.source)
        return self._found

    async def enter(self) -> None:
        """Read everything that waits for somebody."""
        self._changed.update(self._reading.known)
        self.monitor.attempt(self._read(), group="inbox")

    def hear(self, events: Events) -> None:
        """Note whose matters are old now."""
        self._dirty = True
        known = self._reading.known
        self._changed.update(
            each.subject for each in events if self._readings or each.subject in known
        )

    def tick(self) -> None:
        """Look again if something happened; ages go on."""
        self._ticks += 1
        if self.paused:
            return
        if self._dirty and self._ticks % self._pause == 0 and not self._readings:
            self.monitor.attempt(self._read(), group="inbox")
        self._show()

    async def _read(self) -> None:
        self._dirty = False
        self._reading.forget(self._changed)
        self._changed.clear()
        self._readings += 1
        begun = time.monotonic()
        try:
            failures = await asyncio.gather(
                self._read_executions(), self._read_letters(), return_exceptions=True
            )
        finally:
            self._readings -= 1
            self._pause = max(_EVERY, round((time.monotonic() - begun) * _REST))
        if failures[0] is None:
            self._loaded = True
            self._dirty = self._dirty or self._reading.is_partial
        self._show()
        for failure in failures:
            if failure is not None:
                raise failure

    async def _read_letters(self) -> None:
        letters = [of_letter(each) for each in await self.source.letters()]
        others = [each for each in self._matters.values() if each.kind != "letter"]
        self._take([*others, *letters])

    async def _read_executions(self) -> None:
        """Show what is found at once, and what was there before until it is known to be gone."""
        found: dict[str, Matter] = {}
        async for matters in self._reading.read():
            found.update((each.key, each) for each in matters)
            if matters:
                self._take({**self._matters, **found}.values())
        self._take([*self._letters(), *found.values()])

    def _letters(self) -> list[Matter]:
        return [each for each in self._matters.values() if each.kind == "letter"]

    def _take(self, matters: Iterable[Matter]) -> None:
        self._matters = {each.key: each for each in sorted(matters, key=sort_key)}
        self._show()

    # -- showing -----------------------------------------------------------------------------------

    def _show(self) -> None:
        wanted, now = parse_filter(self.filter_text, FACTS), self.monitor.now()
        self._rows.take(
            [
                (each.key, self._cells(each, now))
                for each in self._matters.values()
                if wanted.accepts(each.facts(now))
            ]
        )
        self.the_table.reload()
        self.retitle()

    def _cells(self, each: Matter, now: int) -> tuple[Any, ...]:
        style = theme.style_of(each.status) or "bad"
        return (
            (f"{theme.glyph(each.status)} {self.say(f'inbox.{each.status}')}", style),
            each.workflow.partition("/")[2] or each.workflow,
            each.id if each.kind == "execution" else f"#{each.id} {each.execution}",
            age(each.moment, now),
            each.detail,
        )

    def title(self) -> Parts:
        """Return how many there are of each kind."""
        counts = Counter(each.status for each in self._matters.values())
        more = "+" if self._reading.more else ""
        parts: Parts = [(self.say("view.inbox"), "bold"), (f"  {len(self._matters)}{more}", "")]
        if self._reading.is_partial:
            parts.append((f"  {self.say('inbox.looking')}", "dim"))
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        if self.the_table.marks:
            count = len(self.the_table.chosen())
            parts.append((f"  {self.say('list.marked', count=count)}", "$accent"))
        if self.paused:
            parts.append((f"  {self.say('list.paused')}", "$warning"))
        if not self._loaded:
            parts.append((f"  {self.say('list.loading')}", "dim"))
        elif not self._matters and not self._reading.is_partial:
            parts.append((f"  {self.say('empty.inbox')}", "dim"))
        elif self._matters and not self._rows.row_count():
            parts.append((f"  {self.say('empty.filtered')}", "dim"))
        for status in ORDER:
            if counts[status]:
                parts.append((f"  {self.say(f'inbox.{status}')} {counts[status]}", "dim"))
        return parts

    def set_filter(self, text: str) -> None:
        """Show only what a filter wants."""
        parse_filter(text, FACTS)
        self.filter_text = text.strip()
        self._show()

    def item(self, key: Hashable) -> Item | None:
        """Return a matter as something to act on."""
        each = self._matters.get(str(key))
        if each is None:
            return None
        return Item(each.id, each.status, each.kind, each.workflow.rpartition(":")[0])

    def on_lines_moved(self, event: Lines.Moved) -> None:
        """The keys that matter depend on the row."""
        self.monitor.show_hints()
        self.retitle()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Open the execution; a letter without one shows itself."""
        event.stop()
        each = self._matters.get(str(self.the_table.key))
        if each is not None and each.execution:
            self.monitor.open_execution(each.execution)
        elif each is not None:
            self.monitor.run_command("json")

    def do_follow(self) -> None:
        """Go to what comes first."""
        self.the_table.move_to(0)

    def do_pause(self) -> None:
        """Hold everything as it is, or go on."""
        self.paused = not self.paused
        self.retitle()

    async def do_sort(self) -> None:
        """Its order is what matters most; a filter chooses among it."""
        options = [("", self.say("inbox.all"))]
        options += [(f"status:{each}", self.say(f"inbox.{each}")) for each in ORDER]
        chosen = await self.monitor.choose(self.say("do.filters"), options)
        if chosen is not None:
            self.set_filter(chosen)
