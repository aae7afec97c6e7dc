"""A few lines that can be opened, as tall as there are lines, within a page that scrolls."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

from textual.geometry import Region
from textual.widget import Widget

from flunq_tui import theme
from flunq_tui.text import harmless
from flunq_tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

Parts: TypeAlias = tuple[tuple[str, str], ...]
"""A line: its parts, each with the name of its look."""


class ShortList(Lines):
    """Lines by key; the cursor stays on its key when others come and go."""

    PREFIX: ClassVar[str] = "short"
    COMPONENT_CLASSES, DEFAULT_CSS = theme.looks("short")
    DEFAULT_CSS = "ShortList { height: 0; width: 1fr; overflow: hidden;" + DEFAULT_CSS + "}"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys: list[str] = []
        self._lines: list[Parts] = []

    @property
    def key(self) -> str | None:
        """The key of the line under the cursor."""
        return self._keys[self.cursor] if self.cursor < len(self._keys) else None

    def show_lines(self, lines: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Show lines; data in them is made harmless."""
        key, count = self.key, self.count()
        self._keys = list(lines)
        self._lines = [
            tuple((harmless(text), look) for text, look in parts) for parts in lines.values()
        ]
        if key is not None and key in lines:
            self.cursor = self._keys.index(key)
        if len(lines) != count:
            self.styles.height = len(lines)
        self.measure()

    def count(self) -> int:
        """Return the number of lines."""
        return len(self._keys)

    def draw(self, index: int, width: int) -> tuple[Hashable, Sequence[tuple[str, str]]]:
        """Return a line; it is drawn anew when its text changes."""
        return self._lines[index], self._lines[index]

    def bring_into_view(self, index: int) -> None:
        """Do nothing: all lines have room."""

    def move_to(self, index: int, *, tell: bool = True) -> None:
        """Put the cursor on a line and scroll the page to it; to its top with the first line."""
        super().move_to(index, tell=tell)
        own = self.virtual_region.y + self.cursor
        for y in (0, own) if self.cursor == 0 else (own,):
            self._scroll_page(y)

    def _scroll_page(self, y: int) -> None:
        if isinstance(self.parent, Widget):
            line = Region(0, y, self.size.width, 1)
            self.parent.scroll_to_region(line, animate=False, immediate=True)
