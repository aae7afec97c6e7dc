"""A view over the newest things of a stream: filter, pause, follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from flunq_tui.model.filters import Filter, parse_filter
from flunq_tui.model.ring import Ring
from flunq_tui.views.base import Parts, View
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from textual.app import ComposeResult

    from flunq_tui.widgets.virtual_table import Cell, Row

T = TypeVar("T")
KEPT = 20_000
"""Things that a view keeps in memory."""


class RingRows(Generic[T]):
    """What of a ring a filter wants."""

    def __init__(self, ring: Ring[T], cells: Callable[[T], tuple[Cell, ...]]) -> None:
        self.ring = ring
        self._cells = cells
        self._wanted: list[int] | None = None
        """Numbers of the items that are wanted; None: all."""
        self._end: int | None = None
        """Items from this number on came after the pause."""

    def row_count(self) -> int:
        """Return how many items there are."""
        return len(self._wanted) if self._wanted is not None else self._limit() - self.ring.first

    def _limit(self) -> int:
        return self.ring.added if self._end is None else max(self._end, self.ring.first)

    def page(self, offset: int, count: int) -> Sequence[Row]:
        """Return some items."""
        found: list[Row] = []
        for place in range(offset, min(offset + count, self.row_count())):
            number = self._number(place)
            item = self.ring.get(number)
            if item is not None:
                found.append((number, self._cells(item)))
        return found

    def locate(self, key: Hashable) -> int | None:
        """Return the place of an item."""
        if not isinstance(key, int) or not self.ring.first <= key < self._limit():
            return None
        if self._wanted is None:
            return key - self.ring.first
        from bisect import bisect_left

        at = bisect_left(self._wanted, key)
        return at if at < len(self._wanted) and self._wanted[at] == key else None

    def pause(self, paused: bool) -> None:
        """Hold what is shown, or go on with what came."""
        self._end = self.ring.added if paused else None

    def refilter(self, wants: Callable[[T], bool] | None) -> None:
        """Look through everything that is kept."""
        self._wanted = None
        if wants is not None:
            numbers = range(self.ring.first, self._limit())
            self._wanted = [n for n in numbers if (item := self.ring.get(n)) and wants(item)]

    def took(self, first: int, wants: Callable[[T], bool] | None) -> int:
        """Take up items from a number on; returns how many of them are wanted."""
        if wants is None or self._wanted is None:
            return self.ring.added - first
        fresh = [
            n for n in range(first, self._limit()) if (item := self.ring.get(n)) and wants(item)
        ]
        gone = next((at for at, n in enumerate(self._wanted) if n >= self.ring.first), 0)
        del self._wanted[:gone]
        self._wanted += fresh
        return len(fresh)

    def _number(self, place: int) -> int:
        return self._wanted[place] if self._wanted is not None else self.ring.first + place


class RingView(View, Generic[T]):
    """The base of the live tails."""

    FACTS: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.ring: Ring[T] = Ring(KEPT)
        self._rows = RingRows(self.ring, self.cells)
        self._filter = Filter()

    def columns(self) -> list[Column]:
        """Return the columns."""
        return []

    def cells(self, item: T) -> tuple[Cell, ...]:
        """Return an item as a row."""
        return ()

    def facts(self, item: T) -> dict[str, Any]:
        """Return what filters compare."""
        return {}

    def compose(self) -> ComposeResult:
        """Draw the table."""
        yield VirtualTable(self.columns(), self._rows, stick="bottom")

    @property
    def the_table(self) -> VirtualTable:
        """The table."""
        return self.query_one(VirtualTable)

    def take(self, items: Iterable[T]) -> None:
        """Add items at the end."""
        first = self.ring.added
        for item in items:
            self.ring.add(item)
        added = self._rows.took(first, self._wants())
        if self.is_mounted and self.monitor.is_shown(self):
            self.the_table.reload(added)
            self.retitle()

    def wants(self, item: T) -> bool:
        """Tell whether an item is to be seen at all."""
        return True

    def refilter(self) -> None:
        """Look through everything that is kept, and go to its end."""
        self._rows.refilter(self._wants())
        self.the_table.reload()
        self.the_table.follow()
        self.retitle()

    def _wants(self) -> Callable[[T], bool] | None:
        if not self._filter and not self.more_title():
            return None
        return lambda item: self.wants(item) and self._filter.accepts(self.facts(item))

    async def enter(self) -> None:
        """Show what came meanwhile."""
        self.the_table.reload()

    def set_filter(self, text: str) -> None:
        """Show only what a filter wants."""
        self._filter = parse_filter(text, self.FACTS)
        self.filter_text = text.strip()
        self.refilter()

    def do_pause(self) -> None:
        """Hold the screen; the stream goes on in the background."""
        self.paused = not self.paused
        self._rows.pause(self.paused)
        self._rows.refilter(self._wants())
        self.the_table.reload()
        self.retitle()

    def chosen_item(self) -> T | None:
        """Return the item under the cursor."""
        key = self.the_table.key
        return self.ring.get(key) if isinstance(key, int) else None

    def more_title(self) -> Parts:
        """Return what else restricts the list."""
        return []

    def title(self) -> Parts:
        """Return how many there are."""
        table = self.the_table
        parts: Parts = [(self.say(f"view.{self.NAME}"), "bold"), (f"  {table.count():,}", "")]
        if self.ring.first:
            parts.append((f"  {self.say('list.dropped', count=f'{self.ring.first:,}')}", "dim"))
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        parts += self.more_title()
        if self.paused:
            parts.append((f"  {self.say('list.paused')}", "$warning"))
        elif table.missed and not table.following:
            parts.append((f"  {self.say('list.new', count=table.missed)}", "$warning"))
        if not table.count():
            parts.append((f"  {self.say(f'empty.{self.NAME}')}", "dim"))
        return parts
