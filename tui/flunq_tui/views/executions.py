"""All executions, newest first, live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from flunq.core.statuses import ENDED
from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.filters import parse_filter
from flunq_tui.model.formats import age, duration, stamp
from flunq_tui.model.listing import (
    FACTS,
    NEWEST,
    Listing,
    duration_of,
    key_of,
    workflow_of,
)
from flunq_tui.source import Query
from flunq_tui.views.base import Parts, View
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from textual.app import ComposeResult

    from flunq.core.protocol import Summary
    from flunq_tui.source import Events
    from flunq_tui.widgets.lines import Lines
    from flunq_tui.widgets.virtual_table import Cell, Row

PAGE = 200
_ALL_PAGE = 500
_FRAME = 0.25
_MOST_FRESH = 10
"""Pages of new executions that are fetched before the list begins anew."""
_SORTS = (NEWEST, "duration", "status", "workflow", "id")


class SummaryRows:
    """Rows of a listing."""

    def __init__(self, listing: Listing, now: Callable[[], int], say: Callable[..., str]) -> None:
        self.listing = listing
        self._now = now
        self._say = say

    def row_count(self) -> int:
        """Return how many executions are known."""
        return len(self.listing.rows)

    def page(self, offset: int, count: int) -> Sequence[Row]:
        """Return some rows as they are shown."""
        now = self._now()
        return [
            (key_of(each), self._cells(each, now))
            for each in self.listing.in_order[offset : offset + count]
        ]

    def locate(self, key: Hashable) -> int | None:
        """Return the place of an execution."""
        return self.listing.locate(key)  # type: ignore[arg-type]

    def _cells(self, each: Summary, now: int) -> tuple[Cell, ...]:
        style = theme.style_of(each.status)
        word = self._say(f"status.{each.status}") if each.status in theme.GLYPHS else each.status
        return (
            (f"{theme.glyph(each.status)} {word}", style),
            workflow_of(each).partition("/")[2],
            each.id,
            age(each.started_at, now),
            duration(duration_of(each, now)),
            (" ".join(f"{name}={value}" for name, value in each.tags.items()), "dim"),
            (stamp(each.started_at), "dim"),
            (each.namespace, "dim"),
            (each.parent or "", "dim"),
        )


class ExecutionsView(View):
    """A list of any length that stays where the reader is."""

    NAME: ClassVar[str] = "executions"
    STATUSES: ClassVar[tuple[str, ...]] = ()
    """What the list is about; empty: everything."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self._listing: Listing
        self._dirty = False
        self._loading = False
        self._failed = ""
        self._all_wanted = False
        """Whether everything is read, not only a page."""
        self._to_the_end = False

    def compose(self) -> ComposeResult:
        """Draw the table."""
        columns = [
            Column(id="status", title=self.say("column.status"), width=13),
            Column(id="workflow", title=self.say("column.workflow"), width=16, grow=1),
            Column(id="id", title="ID", width=14, grow=4, drop=1),
            Column(id="started", title=self.say("column.age"), width=6, right=True, drop=2),
            Column(id="duration", title=self.say("column.took"), width=8, right=True, drop=3),
            Column(id="tags", title=self.say("column.tags"), width=8, grow=1, drop=6),
            Column(id="date", title=self.say("column.started"), width=19, drop=5),
            Column(id="namespace", title=self.say("column.namespace"), width=10, drop=7),
            Column(id="parent", title=self.say("column.parent"), width=12, drop=8),
        ]
        table = VirtualTable(columns, stick="top")
        table.hidden = {"date", "namespace", "parent"}
        table.sorted_by = (NEWEST, False)
        yield table

    def on_mount(self) -> None:
        """Begin with an empty list, in the columns and the order of the last time."""
        self._begin("")
        self.recall_columns(self.the_table)
        column, reverse = self.memory.looks(self.NAME).sort or (NEWEST, False)
        if column in _SORTS and (column, reverse) != (NEWEST, False):
            self._sort(column, reverse=reverse)
        self.set_interval(_FRAME, self._take_up)

    def _begin(self, text: str) -> None:
        wanted = parse_filter(text, FACTS)
        listing = Listing(wanted, self.monitor.now)
        if hasattr(self, "_listing"):
            listing.sort(self._listing.order[0], reverse=self._listing.order[1])
        self._listing = listing
        self.filter_text = text.strip()
        self.the_table.rows = SummaryRows(listing, self.monitor.now, self.say)

    @property
    def the_table(self) -> VirtualTable:
        """The table."""
        return self.query_one(VirtualTable)

    # -- loading -----------------------------------------------------------------------------------

    async def enter(self) -> None:
        """Read the newest page, or what is new."""
        if self._listing.rows:
            self._dirty = True
        else:
            self._load()

    def _query(self, **members: Any) -> Query:
        wanted = self._listing.wanted
        asked = tuple(
            each for each in wanted.statuses if not self.STATUSES or each in self.STATUSES
        )
        return Query(statuses=asked or self.STATUSES, workflow=wanted.workflow, **members)

    def _load(self) -> None:
        """Read on, unless that is under way."""
        if not self._loading:
            self._loading = True
            self.monitor.attempt(self._load_pages(), after=self._loaded)

    def _loaded(self, problem: str) -> None:
        self._loading = False
        self._failed = problem
        self.retitle()
        if self._all_wanted and not problem and not self._listing.complete:
            self._load()  # asked for after the last page was read, before it was noted

    async def _load_pages(self) -> None:
        """Read until the screen is full, or to the end when that is wanted."""
        listing = self._listing
        goal = len(listing.rows) + PAGE
        while not listing.complete and (self._all_wanted or len(listing.rows) < goal):
            limit = _ALL_PAGE if self._all_wanted or listing.wanted else PAGE
            page = await self.source.executions(self._query(limit=limit, before=listing.after))
            if listing is not self._listing:
                return
            listing.append(page, limit)
            self.the_table.reload()
            self.retitle()
        if self._to_the_end and listing.complete:
            super().do_bottom()
        if listing.complete:
            self._all_wanted = self._to_the_end = False

    def on_virtual_table_near_end(self, event: VirtualTable.NearEnd) -> None:
        """Somebody reads on."""
        event.stop()
        if not self._listing.complete:
            self._load()

    def do_bottom(self) -> None:
        """Go to the oldest execution: all have to be read for that."""
        super().do_bottom()
        if not self._listing.complete:
            self._all_wanted = self._to_the_end = True
            self._load()

    def do_top(self) -> None:
        """Go to the newest execution; the way to the end is given up."""
        self._all_wanted = self._to_the_end = False
        super().do_top()

    # -- news --------------------------------------------------------------------------------------

    def hear(self, events: Events) -> None:
        """Something changed: look again, at most four times a second."""
        self._dirty = True

    def _take_up(self) -> None:
        shown = self.monitor.is_shown(self)
        if self._dirty and shown and not self.paused and not self._loading:
            self._dirty = False
            self._loading = True
            self.monitor.attempt(self._news(), after=self._loaded)

    async def _news(self) -> None:
        listing, table = self._listing, self.the_table
        added = await self._newest(listing)
        if listing is not self._listing:
            return
        table.reload(added)
        await self._visible(listing, table)
        self.retitle()

    async def _newest(self, listing: Listing) -> int:
        """Read pages until they meet what is known."""
        top = key_of(listing.rows[0]) if listing.rows else None
        found: list[Summary] = []
        before = None
        for _ in range(_MOST_FRESH):
            page = await self.source.executions(self._query(limit=PAGE, before=before))
            found += page
            if len(page) < PAGE:
                return listing.replace(found, after=None, upto=None)
            before = key_of(page[-1])
            if top is not None and before <= top:
                return listing.replace(found, after=None, upto=before)
        listing.reset()
        listing.append(found, 0)
        return len(found)

    async def _visible(self, listing: Listing, table: VirtualTable) -> None:
        """Read again what is on the screen if it may change still."""
        first = table.first_visible
        if first < PAGE // 2 or listing.order != (NEWEST, False):
            return
        shown = listing.rows[first : first + table.rows_visible]
        if all(each.status in ENDED for each in shown):
            return
        after, last = key_of(listing.rows[first - 1]), key_of(shown[-1])
        limit = PAGE if listing.wanted else len(shown)
        page = await self.source.executions(self._query(limit=limit, before=after))
        known = [each for each in page if key_of(each) >= last]
        if listing is self._listing:
            listing.replace(known, after=after, upto=last)
            table.reload()

    def tick(self) -> None:
        """Ages go on."""
        if not self.paused:
            self.the_table.reload()

    # -- what is shown -----------------------------------------------------------------------------

    def title(self) -> Parts:
        """Return how many there are and what was asked for."""
        listing, table = self._listing, self.the_table
        more = "" if listing.complete else "+"
        parts: Parts = [(self.say(f"view.{self.NAME}"), "bold")]
        parts.append((f"  {len(listing.rows):,}{more}", ""))
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        if self.paused:
            parts.append((f"  {self.say('list.paused')}", "$warning"))
        elif table.missed:
            parts.append((f"  {self.say('list.new', count=table.missed)}", "$warning"))
        if table.marks:
            parts.append((f"  {self.say('list.marked', count=len(table.chosen()))}", "$accent"))
        if self._failed:
            parts.append((f"  {self._failed}", "$error"))
        elif self._loading and not listing.rows:
            parts.append((f"  {self.say('list.loading')}", "dim"))
        elif listing.complete and not listing.rows:
            parts.append((f"  {self._empty()}", "dim"))
        return parts

    def _empty(self) -> str:
        return self.say("empty.filtered" if self.filter_text else f"empty.{self.NAME}")

    def item(self, key: Hashable) -> Item | None:
        """Return an execution as something to act on."""
        at = self._listing.locate(key)  # type: ignore[arg-type]
        if at is None:
            return None
        found = self._listing.in_order[at]
        name = f"{found.namespace}/{found.workflow}"
        return Item(found.id, found.status, "execution", name)

    def set_filter(self, text: str) -> None:
        """List what a filter wants."""
        self._begin(text)
        self._loading = self._all_wanted = self._to_the_end = False
        self._load()
        self.retitle()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Show one execution."""
        event.stop()
        items = self.items()
        if self.the_table.key is not None and items:
            found = self.item(self.the_table.key)
            if found is not None:
                self.monitor.open_execution(found.id)

    def on_lines_moved(self, event: Lines.Moved) -> None:
        """The keys that matter depend on the row."""
        self.monitor.show_hints()
        self.retitle()

    def on_virtual_table_sort_asked(self, event: VirtualTable.SortAsked) -> None:
        """Sort by a column; again: the other way round."""
        if event.column in _SORTS:
            column, reverse = self._listing.order
            self._sort(event.column, reverse=not reverse if column == event.column else False)

    async def do_sort(self) -> None:
        """Choose what to sort by."""
        options = [(each, self.say(f"sort.{each}")) for each in _SORTS]
        chosen = await self.monitor.choose(self.say("do.sort"), options)
        if chosen is not None:
            column, reverse = self._listing.order
            self._sort(chosen, reverse=not reverse if column == chosen else chosen == "duration")

    def _sort(self, column: str, *, reverse: bool) -> None:
        self._listing.sort(column, reverse=reverse)
        self.the_table.sorted_by = (column, reverse)
        self.memory.looks(self.NAME).sort = (column, reverse)
        self.memory.save()
        self.the_table.reload()
        self.the_table.move_to(0)
        self.the_table.set_following(self._listing.order == (NEWEST, False))
        if not self._listing.complete and self._listing.order != (NEWEST, False):
            # Only what is known can be sorted, so everything has to be.
            self._all_wanted = True
            self._load()

    def do_pause(self) -> None:
        """Hold everything as it is, or go on."""
        self.paused = not self.paused
        self._dirty = True
        self.retitle()
