"""What waits for people: questions, dead letters, what has failed, what is held."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from flunq.errors import NotFoundError
from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.filters import parse_filter
from flunq_tui.model.formats import age
from flunq_tui.model.inbox import FACTS, ORDER, Matter, of_execution, of_letter, sort_key
from flunq_tui.source import Query
from flunq_tui.views.base import Parts, View
from flunq_tui.views.bounded import BoundedRows
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult

    from flunq.core.protocol import DefinitionText, Details, Summary
    from flunq_tui.source import Events
    from flunq_tui.widgets.lines import Lines

MOST = 200
"""Executions of one status that are looked at."""
_STATUSES = tuple(each for each in ORDER if each != "dead")
_AT_ONCE = 16
_EVERY = 3
"""Seconds between two looks while events come."""


class InboxView(View):
    """A list of matters, each with what there is to know before one acts."""

    NAME: ClassVar[str] = "inbox"

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self._rows = BoundedRows()
        self._matters: dict[str, Matter] = {}
        self._details: dict[str, Details] = {}
        self._documents: dict[str, DefinitionText | None] = {}
        self._more: set[str] = set()
        self._changed: set[str] = set()
        """Executions whose details are old."""
        self._dirty = False
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

    async def enter(self) -> None:
        """Read everything that waits for somebody."""
        self._changed.update(self._details)
        self.monitor.attempt(self._read(), group="inbox")

    def hear(self, events: Events) -> None:
        """Note whose matters are old now."""
        self._dirty = True
        self._changed.update(each.subject for each in events if each.subject in self._details)

    def tick(self) -> None:
        """Look again if something happened; ages go on."""
        self._ticks += 1
        if self.paused:
            return
        if self._dirty and self._ticks % _EVERY == 0:
            self.monitor.attempt(self._read(), group="inbox")
        self._show()

    async def _read(self) -> None:
        self._dirty = False
        for name in self._changed:
            self._details.pop(name, None)
        self._changed.clear()
        asked = asyncio.create_task(self._letters())
        found: list[Summary] = []
        for status in _STATUSES:
            page = await self.source.executions(Query(statuses=(status,), limit=MOST))
            (self._more.add if len(page) == MOST else self._more.discard)(status)
            found += page
        await self._look_at(found)
        self._details = {each.id: self._details[each.id] for each in found}
        matters = [self._matter(each.id) for each in found]
        self._take([each for each in matters if each is not None], letters=None)
        self._take([], letters=await asked)

    async def _letters(self) -> list[Matter]:
        return [of_letter(each) for each in await self.source.letters()]

    def _take(self, matters: list[Matter], *, letters: list[Matter] | None) -> None:
        """Put the list together; of executions or letters that are not given the old ones stay."""
        known = [each for each in self._matters.values() if each.kind == "letter"]
        if letters is not None:
            known = letters
            matters = [each for each in self._matters.values() if each.kind != "letter"]
        found = sorted((*known, *matters), key=sort_key)
        self._matters = {each.key: each for each in found}
        self._loaded = self._loaded or letters is not None or bool(found)
        self._show()

    async def _look_at(self, found: list[Summary]) -> None:
        """Ask for the details of what is new, some at a time."""
        unknown = [each.id for each in found if each.id not in self._details]
        for start in range(0, len(unknown), _AT_ONCE):
            names = unknown[start : start + _AT_ONCE]
            details = await asyncio.gather(*map(self._one, names))
            self._details.update((each.id, each) for each in details if each is not None)
        found[:] = [each for each in found if each.id in self._details]
        for each in found:
            if each.status == "waiting":
                await self._document(self._details[each.id])

    async def _one(self, execution: str) -> Details | None:
        try:
            return await self.source.details(execution)
        except NotFoundError:
            return None  # it was deleted in the meantime

    async def _document(self, details: Details) -> None:
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        if name not in self._documents:
            try:
                self._documents[name] = await self.source.definition(name)
            except NotFoundError:
                self._documents[name] = None

    def _matter(self, execution: str) -> Matter | None:
        details = self._details[execution]
        name = f"{details.namespace}/{details.workflow}:{details.version}"
        known = self._documents.get(name)
        return of_execution(details, known.document if known is not None else None)

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
        more = "+" if self._more else ""
        parts: Parts = [(self.say("view.inbox"), "bold"), (f"  {len(self._matters)}{more}", "")]
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        if self.the_table.marks:
            count = len(self.the_table.chosen())
            parts.append((f"  {self.say('list.marked', count=count)}", "$accent"))
        if self.paused:
            parts.append((f"  {self.say('list.paused')}", "$warning"))
        if not self._loaded:
            parts.append((f"  {self.say('list.loading')}", "dim"))
        elif not self._matters:
            parts.append((f"  {self.say('empty.inbox')}", "dim"))
        elif not self._rows.row_count():
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
