"""A table of any size: it asks its source for the rows on the screen and for no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeAlias

import msgspec
from textual.message import Message

from flunq_tui import theme
from flunq_tui.model.bars import bar
from flunq_tui.text import fit
from flunq_tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_GAP = 2
_MARGIN = 2
_SPARE = 8
"""Rows that are asked for above and below the screen."""
_NEAR = 40
"""Rows before the end of what is known at which more is asked for."""


class Bar(NamedTuple):
    """A cell that is a piece of a timeline."""

    start: int
    end: int
    low: int
    high: int
    style: str


Cell: TypeAlias = "str | tuple[str, str] | Bar"
"""A text, a text with the name of its look, or a bar."""
Row: TypeAlias = "tuple[Hashable, tuple[Cell, ...]]"
"""A key that stays the same, and one cell for each column."""


class Rows(Protocol):
    """Where a table gets its rows from."""

    def row_count(self) -> int:
        """Return how many rows are known."""
        ...

    def page(self, offset: int, count: int) -> Sequence[Row]:
        """Return some rows."""
        ...

    def locate(self, key: Hashable) -> int | None:
        """Return at which place a row is; None if it is gone."""
        ...


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a table."""

    id: str
    title: str
    width: int
    grow: int = 0
    """Its share of the space that is left."""
    right: bool = False
    drop: int = 0
    """Columns with the highest number go first when the screen is narrow; 0 stays."""


class NoRows:
    """A source without rows."""

    def row_count(self) -> int:
        """Nothing."""
        return 0

    def page(self, offset: int, count: int) -> Sequence[Row]:
        """Nothing."""
        return ()

    def locate(self, key: Hashable) -> int | None:
        """Nothing."""
        return None


class VirtualTable(Lines):
    """Rows of a source with a cursor, marks and a head; keeps its place when rows come and go."""

    PREFIX: ClassVar[str] = "table"
    HEAD: ClassVar[int] = 1
    COMPONENT_CLASSES, DEFAULT_CSS = theme.looks("table")
    DEFAULT_CSS = "VirtualTable { height: 1fr; width: 1fr;" + DEFAULT_CSS + "}"

    class NearEnd(Message):
        """The rows on the screen are close to the end of what is known."""

        def __init__(self, table: VirtualTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> VirtualTable:
            """The widget."""
            return self.table

    class SortAsked(Message):
        """The head of a column was clicked."""

        def __init__(self, table: VirtualTable, column: str) -> None:
            super().__init__()
            self.table = table
            self.column = column

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Rows | None = None,
        *,
        stick: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.all_columns = tuple(columns)
        self.hidden: set[str] = set()
        self.marks: set[Hashable] = set()
        self.sorted_by: tuple[str, bool] = ("", False)
        self.stick = stick
        """``top`` or ``bottom``: where new rows come, and where following stays."""
        self.following = bool(stick)
        self.missed = 0
        """Rows that came while the table did not follow."""
        self._rows: Rows = rows or NoRows()
        self._page: tuple[int, Sequence[Row]] = (0, ())
        self._widths: tuple[tuple[Column, int], ...] = ()
        self._near_told = -1

    # -- rows --------------------------------------------------------------------------------------

    @property
    def rows(self) -> Rows:
        """The source of the rows."""
        return self._rows

    @rows.setter
    def rows(self, rows: Rows) -> None:
        self._rows = rows
        self._near_told = -1
        self.reload()

    def count(self) -> int:
        """Return how many rows are known."""
        return self._rows.row_count()

    def row(self, index: int) -> Row | None:
        """Return one row."""
        if not 0 <= index < self.count():
            return None
        offset, page = self._page
        if not offset <= index < offset + len(page):
            # A little more than the screen, so that scrolling by lines asks seldom.
            offset = max(0, index - _SPARE)
            page = self._rows.page(offset, self.rows_visible + 2 * _SPARE)
            self._page = (offset, page)
        place = index - offset
        return page[place] if place < len(page) else None

    @property
    def key(self) -> Hashable | None:
        """The key of the row under the cursor."""
        row = self.row(self.cursor)
        return None if row is None else row[0]

    def chosen(self) -> list[Hashable]:
        """Return the marked rows, or the one under the cursor."""
        marked = [key for key in self.marks if self._rows.locate(key) is not None]
        if marked:
            return sorted(marked, key=lambda key: self._rows.locate(key) or 0)
        return [] if self.key is None else [self.key]

    def reload(self, added: int = 0) -> None:
        """Take up changes of the source; ``added`` rows are new where new rows come."""
        key, top_key = self._shown_key(self.cursor), self._shown_key(self.first_visible)
        distance = self.cursor - self.first_visible
        self._page = (0, ())
        self.measure()
        if self.stick and self.following:
            self.missed = 0
            self._go_to_stick()
        else:
            self.missed += added
            self._keep_place(key, top_key, distance)
        self._check_end()

    def _shown_key(self, index: int) -> Hashable | None:
        offset, page = self._page
        place = index - offset
        return page[place][0] if 0 <= place < len(page) else None

    def _go_to_stick(self) -> None:
        last = max(0, self.count() - 1)
        self.cursor = 0 if self.stick == "top" else last
        self.jump(self.cursor)
        self.following = True  # fewer rows scroll back, which is not leaving

    def _keep_place(self, key: Hashable | None, top_key: Hashable | None, distance: int) -> None:
        at = None if key is None else self._rows.locate(key)
        top = None if top_key is None else self._rows.locate(top_key)
        if at is not None:
            self.cursor = at
        if top is not None:
            self.jump(top)
        elif at is not None:
            self.jump(at - distance)

    # -- moving ------------------------------------------------------------------------------------

    def move_to(self, index: int, *, tell: bool = True) -> None:
        """Put the cursor on a row; at the place where rows come it follows again."""
        super().move_to(index, tell=tell)
        if self.stick:
            edge = 0 if self.stick == "top" else max(0, self.count() - 1)
            self.set_following(self.cursor == edge)

    def set_following(self, following: bool) -> None:
        """Stay with the newest row, or hold the position."""
        self.following = following and bool(self.stick)
        if self.following:
            self.missed = 0

    def follow(self) -> None:
        """Go to the newest row and stay there."""
        self.set_following(True)
        self._go_to_stick()
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling away with the mouse ends following, too."""
        super().watch_scroll_y(old_value, new_value)
        left = round(new_value) > 0 if self.stick == "top" else new_value < old_value
        if self.following and left:
            self.set_following(False)
        self._check_end()

    def _check_end(self) -> None:
        count = self.count()
        if self.first_visible + self.rows_visible + _NEAR >= count != self._near_told:
            self._near_told = count
            self.post_message(self.NearEnd(self))

    # -- marks -------------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or unmark it, and go on."""
        if self.key is not None:
            self.marks.symmetric_difference_update({self.key})
            self.move(1)
            self.set_following(False)
            self.refresh()

    def mark_to(self) -> None:
        """Mark everything between the nearest mark and the cursor."""
        marked = [at for key in self.marks if (at := self._rows.locate(key)) is not None]
        start = min(marked, key=lambda at: abs(at - self.cursor), default=self.cursor)
        low, high = sorted((start, self.cursor))
        self.marks.update(key for key, _ in self._rows.page(low, high - low + 1))
        self.refresh()

    # -- drawing -----------------------------------------------------------------------------------

    def draw(self, index: int, width: int) -> tuple[Hashable, Sequence[tuple[str, str]]]:
        """Return the parts of a row."""
        row = self.row(index)
        if row is None:
            return (index, "?"), ()
        key, cells = row
        marked = key in self.marks
        layout = self._layout(width)
        parts = [("▌ " if marked else "  ", "accent" if marked else "")]
        by_id = dict(zip((column.id for column in self.all_columns), cells, strict=False))
        for column, room in layout:
            parts += _parts(by_id.get(column.id, ""), room, column.right)
            parts.append((" " * _GAP, ""))
        return (cells, marked, layout), parts

    def draw_head(self, line: int, width: int) -> Sequence[tuple[str, str]]:
        """Return the titles of the columns."""
        by, reverse = self.sorted_by
        parts = [(" " * _MARGIN, "")]
        for column, room in self._layout(width):
            arrow = (" ▲" if reverse else " ▼") if column.id == by else ""
            parts.append((fit(column.title + arrow, room, right=column.right), "title"))
            parts.append((" " * _GAP, ""))
        return parts

    def head_clicked(self, x: int, y: int) -> None:
        """Sort by the column whose title was clicked."""
        place = _MARGIN
        for column, room in self._layout(self.size.width):
            if place <= x < place + room:
                self.post_message(self.SortAsked(self, column.id))
            place += room + _GAP

    def column_at(self, x: int) -> tuple[str, int, int]:
        """Return which column a cell of the screen belongs to, its offset in it, and its width."""
        place = _MARGIN
        for column, room in self._layout(self.size.width):
            if place <= x < place + room:
                return column.id, x - place, room
            place += room + _GAP
        return "", 0, 0

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns."""
        self.all_columns = tuple(columns)
        self._strips.clear()
        self.reload()

    def _layout(self, width: int) -> tuple[tuple[Column, int], ...]:
        columns = [each for each in self.all_columns if each.id not in self.hidden]
        while len(columns) > 1 and _least(columns) > width:
            worst = max(columns, key=lambda each: each.drop)
            if not worst.drop:
                break
            columns.remove(worst)
        left = max(0, width - _least(columns))
        shares = sum(each.grow for each in columns) or 1
        layout = tuple((each, each.width + left * each.grow // shares) for each in columns)
        if layout != self._widths:
            self._widths = layout
        return self._widths


def _least(columns: Sequence[Column]) -> int:
    return _MARGIN + sum(each.width + _GAP for each in columns)


def _parts(cell: Cell, room: int, right: bool) -> list[tuple[str, str]]:
    if isinstance(cell, str):
        return [(fit(cell, room, right=right), "")]
    if isinstance(cell, Bar):
        offset, text = bar(cell.start, cell.end, cell.low, cell.high, room)
        return [(" " * offset, ""), (text, cell.style), (" " * (room - offset - len(text)), "")]
    text, style = cell
    return [(fit(text, room, right=right), style)]
