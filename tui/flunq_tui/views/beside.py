"""A table with something beside it: what belongs to the row under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical

from flunq_tui.model.filters import parse_filter
from flunq_tui.views.base import Parts, View
from flunq_tui.views.bounded import BoundedRows
from flunq_tui.widgets.json_pane import JsonPane
from flunq_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from textual.app import ComposeResult
    from textual.events import Resize

    from flunq_tui.actions import Item
    from flunq_tui.widgets.lines import Lines
    from flunq_tui.widgets.virtual_table import Column

_NARROW = 100


class Beside(View):
    """A table that can be filtered, and a pane; below each other where there is no room."""

    PANE: ClassVar[str] = ""
    """Id of the pane; the table has the view's own name."""
    FACTS: ClassVar[tuple[str, ...]] = ()
    """What a filter can ask of a row."""
    DEFAULT_CSS = """
    Beside #body { height: 1fr; layout: horizontal; }
    Beside #body.-narrow { layout: vertical; }
    Beside #left { width: 1fr; height: 1fr; }
    Beside #right { width: 1fr; height: 1fr; border-left: vkey $panel; }
    Beside .-narrow #right { border-left: none; }
    Beside .-right-alone #left { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows = BoundedRows()

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return []

    def entries(self) -> Iterable[tuple[str, dict[str, str], Any]]:
        """Return key, facts and thing of each row."""
        return ()

    def cells(self, key: str, each: Any) -> tuple[Any, ...]:
        """Return the cells of a row."""
        return (key,)

    def show_beside(self) -> None:
        """Show in the pane what belongs to the row under the cursor."""

    def compose(self) -> ComposeResult:
        """Table and pane."""
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield VirtualTable(self.columns(), self._rows, id=self.NAME)
            with Vertical(id="right"):
                yield JsonPane(id=self.PANE)

    def on_resize(self, event: Resize) -> None:
        """Beside each other where there is room."""
        self.query_one("#body").set_class(event.size.width < _NARROW, "-narrow")

    @property
    def rows(self) -> VirtualTable:
        """The table."""
        return self.query_one(f"#{self.NAME}", VirtualTable)

    @property
    def pane(self) -> JsonPane:
        """What is beside it."""
        return self.query_one(f"#{self.PANE}", JsonPane)

    def show_rows(self) -> None:
        """Show the rows that the filter wants."""
        wanted = parse_filter(self.filter_text, self.FACTS)
        self._rows.take(
            [
                (key, self.cells(key, each))
                for key, facts, each in self.entries()
                if wanted.accepts(facts)
            ]
        )
        self.rows.reload()
        self.show_beside()
        self.retitle()

    def title(self) -> Parts:
        """Return how many there are."""
        count = self._rows.row_count()
        parts: Parts = [(self.say(f"view.{self.NAME}"), "bold"), (f"  {count}", "")]
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        if not count:
            parts.append((f"  {self.say(f'empty.{self.NAME}')}", "dim"))
        return parts

    def set_filter(self, text: str) -> None:
        """Show only what a filter wants."""
        parse_filter(text, self.FACTS)
        self.filter_text = text.strip()
        self.show_rows()

    def items(self) -> tuple[Item, ...]:
        """Return the chosen rows, wherever the focus is."""
        found = (self.item(key) for key in self.rows.chosen())
        return tuple(item for item in found if item is not None)

    def on_lines_moved(self, event: Lines.Moved) -> None:
        """Show what belongs to the row."""
        event.stop()
        if event.lines.id == self.NAME:
            self.show_beside()
            self.monitor.show_hints()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Show the executions of the workflow that the row names."""
        event.stop()
        key: Hashable = self.rows.key
        if isinstance(key, str):
            self.monitor.show_view("executions", filter_text=f"workflow={key}")

    def do_zoom(self) -> None:
        """Show the pane alone."""
        self.query_one("#body").toggle_class("-right-alone")
