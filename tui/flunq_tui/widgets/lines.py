"""The base of every widget that scrolls over lines: a cursor, a cache, styles of the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual import events

_STRIPS = 1_024


class Lines(ScrollView, can_focus=True, inherit_bindings=False):
    """A scrolling list of lines with a cursor. Keys come from the registry, not from here."""

    HEAD: ClassVar[int] = 0
    """Lines at the top that do not scroll."""
    PREFIX: ClassVar[str] = "lines"
    DEFAULT_CSS = "Lines { overflow-x: hidden; }"

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, lines: Lines) -> None:
            super().__init__()
            self.lines = lines

        @property
        def control(self) -> Lines:
            """The widget."""
            return self.lines

    class Opened(Message):
        """A line was opened, with enter or a second click."""

        def __init__(self, lines: Lines) -> None:
            super().__init__()
            self.lines = lines

        @property
        def control(self) -> Lines:
            """The widget."""
            return self.lines

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.cursor = 0
        self._strips: LRUCache[Hashable, Strip] = LRUCache(_STRIPS)

    # -- what subclasses say -----------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of lines."""
        return 0

    def draw(self, index: int, width: int) -> tuple[Hashable, Sequence[tuple[str, str]]]:
        """Return a key for the cache and the parts (text, name of its look) of a line."""
        return index, ()

    def draw_head(self, line: int, width: int) -> Sequence[tuple[str, str]]:
        """Return the parts of a line that does not scroll."""
        return ()

    # -- moving ------------------------------------------------------------------------------------

    @property
    def rows_visible(self) -> int:
        """How many lines fit on the screen."""
        return max(1, self.size.height - self.HEAD)

    @property
    def first_visible(self) -> int:
        """The index of the first line on the screen."""
        return max(0, round(self.scroll_y))

    def move_to(self, index: int, *, tell: bool = True) -> None:
        """Put the cursor on a line and bring it into view."""
        index = min(max(index, 0), max(self.count() - 1, 0))
        changed = index != self.cursor
        self.cursor = index
        self.bring_into_view(index)
        self.refresh()
        if changed and tell:
            self.post_message(self.Moved(self))

    def move(self, distance: int) -> None:
        """Move the cursor by lines."""
        self.move_to(self.cursor + distance)

    def bring_into_view(self, index: int) -> None:
        """Scroll as little as needed."""
        top, height = self.first_visible, self.rows_visible
        if index < top:
            self.jump(index)
        elif index >= top + height:
            self.jump(index - height + 1)

    def jump(self, top: int) -> None:
        """Scroll so that a line is the first one."""
        highest = max(0, self.count() - self.rows_visible)
        self.scroll_to(y=min(max(top, 0), highest), animate=False, immediate=True)

    def measure(self) -> None:
        """Tell the scroll bar how many lines there are, and draw again."""
        height = self.count() + self.HEAD
        if self.virtual_size.height != height:
            self.virtual_size = Size(0, height)
        if self.cursor >= self.count():
            self.cursor = max(0, self.count() - 1)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Lines depend on the width."""
        self._strips.clear()
        self.measure()
        if self.has_focus:
            self.bring_into_view(self.cursor)

    def notify_style_update(self) -> None:
        """The theme changed: nothing drawn before is right."""
        super().notify_style_update()
        self._strips.clear()

    # -- the mouse ---------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; a second click opens."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        if offset.y < self.HEAD:
            self.head_clicked(offset.x, offset.y)
            return
        index = self.first_visible + offset.y - self.HEAD
        if index >= self.count():
            return
        again = index == self.cursor and event.chain > 1
        self.move_to(index)
        self.line_clicked(index, offset.x)
        if again:
            self.post_message(self.Opened(self))

    def head_clicked(self, x: int, y: int) -> None:
        """A line that does not scroll was clicked."""

    def line_clicked(self, index: int, x: int) -> None:
        """A line was clicked."""

    # -- drawing -----------------------------------------------------------------------------------

    def look(self, name: str) -> Style:
        """Return the style that the theme has for a look."""
        if not name:
            return Style.null()
        return self.get_component_rich_style(f"{self.PREFIX}--{name}", partial=True)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        width = self.size.width
        base = self.rich_style
        if y < self.HEAD:
            return self._strip(self.draw_head(y, width), base, width)
        index = self.first_visible + y - self.HEAD
        if index >= self.count():
            return Strip.blank(width, base)
        key, parts = self.draw(index, width)
        at = (2 if self.has_focus else 1) if index == self.cursor else 0
        cache_key = (key, width, at, base)
        strip = self._strips.get(cache_key)
        if strip is None:
            look = ("", "inactive", "cursor")[at]
            strip = self._strip(parts, base, width, self.look(look) if look else None)
            self._strips[cache_key] = strip
        return strip

    def _strip(
        self,
        parts: Sequence[tuple[str, str]],
        base: Style,
        width: int,
        over: Style | None = None,
    ) -> Strip:
        segments = []
        for text, name in parts:
            style = base + self.look(name) if name else base
            segments.append(Segment(text, style + over if over is not None else style))
        end = base + over if over is not None else base
        return Strip(segments).adjust_cell_length(width, end)

    def watch_has_focus(self, value: bool) -> None:
        """The cursor looks different with the focus."""
        super().watch_has_focus(value)
        self.refresh()
