"""The base of every widget that scrolls over lines: a cursor, a cache, styles of the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Region, Size
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
        self._looks: dict[tuple[str, str], Style] = {}

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
        before, top = self.cursor, self.first_visible
        self.cursor = index
        self.bring_into_view(index)
        if self.first_visible == top:
            self._refresh_lines(before, index)
        if before != index and tell:
            self.post_message(self.Moved(self))

    def _refresh_lines(self, *indexes: int) -> None:
        """Have a few lines drawn again; scrolling draws all of them by itself."""
        size, shift = self.size, self.HEAD - self.first_visible
        places = [index + shift for index in indexes]
        regions = [Region(0, y, size.width, 1) for y in places if self.HEAD <= y < size.height]
        if regions:
            self.refresh(*regions)

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
        # Forced: whether there is a scroll bar is known only after the next layout.
        self.scroll_to(y=min(max(top, 0), highest), animate=False, immediate=True, force=True)

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
        self._looks.clear()

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

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw lines of the screen, past what only widgets with borders need."""
        if self.opacity != 1.0 or self.styles.gutter:
            return super().render_lines(crop)
        background = self.background_colors[1]
        filters, base = self.get_line_filters(), self.rich_style
        room = self.outer_size.width  # a scroll bar covers the rest
        strips = []
        for y in crop.line_range:
            strip = self._line(y, base, room)
            for each in filters:
                strip = strip.apply_filter(each, background)
            strips.append(strip.crop(crop.x, crop.right))
        return strips

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        return self._line(y, self.rich_style, self.size.width)

    def _line(self, y: int, base: Style, room: int) -> Strip:
        width = self.size.width
        if y < self.HEAD:
            head = tuple(self.draw_head(y, width))
            return self._cached(("head", head), head, base, room, "")
        index = self.first_visible + y - self.HEAD
        if index >= self.count():
            return self._cached("blank", (), base, room, "")
        key, parts = self.draw(index, width)
        at = ("cursor" if self.has_focus else "inactive") if index == self.cursor else ""
        return self._cached(key, parts, base, room, at)

    def _cached(
        self, key: Hashable, parts: Sequence[tuple[str, str]], base: Style, width: int, over: str
    ) -> Strip:
        cache_key = (key, width, over, base)
        strip = self._strips.get(cache_key)
        if strip is None:
            strip = self._strip(parts, base, width, over)
            self._strips[cache_key] = strip
        return strip

    def _strip(self, parts: Sequence[tuple[str, str]], base: Style, width: int, over: str) -> Strip:
        segments, room = [], width
        for text, name in parts:
            segments.append(Segment(text, self._style(base, name, over)))
            room -= cell_len(text)
        if room > 0:
            segments.append(Segment(" " * room, self._style(base, "", over)))
        strip = Strip(segments, width - min(room, 0))
        return strip if room >= 0 else strip.crop(0, width)

    def _style(self, base: Style, name: str, over: str) -> Style:
        """Return the style of a part; adding styles up costs more than drawing with them."""
        found = self._looks.get((name, over))
        if found is None:
            found = self.look(name) + self.look(over)
            self._looks[name, over] = found
        return base + found

    def watch_has_focus(self, value: bool) -> None:
        """The cursor looks different with the focus."""
        super().watch_has_focus(value)
        self.refresh()
