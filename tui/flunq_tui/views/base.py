"""What all views have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Vertical

from flunq_tui.widgets.lines import Lines
from flunq_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.widget import Widget

    from flunq_tui.actions import Item
    from flunq_tui.app import Monitor
    from flunq_tui.memory import Memory
    from flunq_tui.source import Events, Source

Parts = list[tuple[str, str]]


class View(Vertical):
    """One page of the monitor; the app shows one at a time and keeps the others."""

    NAME: ClassVar[str] = ""
    DEFAULT_CSS = "View { height: 1fr; }"

    filter_text = ""

    @property
    def monitor(self) -> Monitor:
        """The app."""
        return cast("Monitor", self.app)

    @property
    def source(self) -> Source:
        """Where the data comes from."""
        return self.monitor.source

    @property
    def memory(self) -> Memory:
        """What is kept for the next time."""
        return self.monitor.options.memory

    def say(self, message: str, **values: object) -> str:
        """Return a text in the language of the user."""
        return self.monitor.say(message, **values)

    def first_focus(self) -> Widget | None:
        """Return what gets the focus when the view is shown."""
        return next(iter(self.query(Lines)), None)

    def current(self) -> Lines | None:
        """Return the list that keys move in."""
        focused = self.app.focused
        if isinstance(focused, Lines) and self in focused.ancestors:
            return focused
        first = self.first_focus()
        return first if isinstance(first, Lines) else None

    def table(self) -> VirtualTable | None:
        """Return the table that keys act on, if it is one."""
        current = self.current()
        return current if isinstance(current, VirtualTable) else None

    def items(self) -> tuple[Item, ...]:
        """Return what actions act on: the marked rows, or the one under the cursor."""
        table = self.table()
        if table is None:
            return ()
        found = (self.item(key) for key in table.chosen())
        return tuple(item for item in found if item is not None)

    def item(self, key: Hashable) -> Item | None:
        """Return the thing that a row stands for."""
        return None

    def title(self) -> Parts:
        """Return the line above the view."""
        return []

    def retitle(self) -> None:
        """Have the line above the view drawn again."""
        self.monitor.show_title(self)

    def position_shown(self) -> int | None:
        """Return the event of the past that the screen shows; None: it shows the present."""
        return None

    def text_to_keep(self) -> str:
        """Return what can be kept by a name."""
        return self.filter_text

    async def enter(self) -> None:
        """The view is shown now."""

    def leave(self) -> None:
        """The view is hidden now."""

    def hear(self, events: Events) -> None:
        """Events were committed; only the view that is shown hears of them."""

    def tick(self) -> None:
        """A second has passed; ages and countdowns go on."""

    def set_filter(self, text: str) -> None:
        """Show only what a filter wants; raises FilterError."""
        self.filter_text = text

    def step_back(self) -> bool:
        """Undo one thing (filter, marks, panel); False if there is nothing to undo."""
        table = self.table()
        if table is not None and table.marks:
            table.marks.clear()
            table.refresh()
            return True
        if self.filter_text:
            self.set_filter("")
            return True
        return False

    # -- what is the same in all lists ----------------------------------------------------------

    def do_up(self) -> None:
        """Go up a line."""
        if (current := self.current()) is not None:
            current.move(-1)

    def do_down(self) -> None:
        """Go down a line."""
        if (current := self.current()) is not None:
            current.move(1)

    def do_page_up(self) -> None:
        """Go up a screen."""
        if (current := self.current()) is not None:
            current.move(-current.rows_visible)

    def do_page_down(self) -> None:
        """Go down a screen."""
        if (current := self.current()) is not None:
            current.move(current.rows_visible)

    def do_top(self) -> None:
        """Go to the first line."""
        if (current := self.current()) is not None:
            current.move_to(0)

    def do_bottom(self) -> None:
        """Go to the last line."""
        if (current := self.current()) is not None:
            current.move_to(current.count() - 1)

    def do_open(self) -> None:
        """Open the line under the cursor."""
        if (current := self.current()) is not None:
            current.post_message(Lines.Opened(current))

    def do_mark(self) -> None:
        """Mark the row."""
        if (table := self.table()) is not None:
            table.toggle_mark()

    def do_mark_to(self) -> None:
        """Mark up to the row."""
        if (table := self.table()) is not None:
            table.mark_to()

    def do_follow(self) -> None:
        """Go to the newest row."""
        if (table := self.table()) is not None:
            table.follow()
            self.retitle()

    async def do_refresh(self) -> None:
        """Ask again."""
        await self.enter()

    async def do_columns(self) -> None:
        """Choose the columns that are shown."""
        table = self.table()
        if table is None:
            return
        options = [(each.id, each.title) for each in table.all_columns]
        shown = {each.id for each in table.all_columns} - table.hidden
        chosen = await self.monitor.choose_many(self.say("do.columns"), options, shown)
        if chosen:
            table.hidden = {each.id for each in table.all_columns} - chosen
            table.set_columns(table.all_columns)
            self.memory.looks(self.NAME).hidden = sorted(table.hidden)
            self.memory.save()

    def recall_columns(self, table: VirtualTable) -> None:
        """Show the columns that somebody chose before."""
        hidden = self.memory.looks(self.NAME).hidden
        known = {each.id for each in table.all_columns}
        if hidden is not None and not known <= set(hidden):
            table.hidden = known & set(hidden)
            table.set_columns(table.all_columns)
