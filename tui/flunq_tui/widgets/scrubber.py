"""The history of an execution as one line: where one is in it, and where the failures are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.widget import Widget

from flunq_tui import theme
from flunq_tui.text import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual import events
    from textual.strip import Strip

_LABEL = 44


class Scrubber(Widget):
    """A position among ``last`` events; the mouse moves it."""

    COMPONENT_CLASSES, _LOOKS = theme.looks("scrub")
    DEFAULT_CSS = "Scrubber { height: 1; width: 1fr; background: $panel;" + _LOOKS + "}"
    ALLOW_SELECT: ClassVar[bool] = False

    class Moved(Message):
        """Somebody chose another event."""

        def __init__(self, position: int) -> None:
            super().__init__()
            self.position = position

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.position = 0
        self.last = 0
        self.label = ""
        self._failures: Sequence[int] = ()
        self._live = True
        self._dragging = False

    def show(
        self, position: int, last: int, failures: Sequence[int], label: str, *, live: bool
    ) -> None:
        """Take a new state."""
        self.position, self.last, self.label = position, last, label
        self._failures, self._live = failures, live
        self.refresh()

    def _bar_width(self) -> int:
        return max(5, self.size.width - min(_LABEL, self.size.width // 2) - 1)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Go to the place under the mouse."""
        self._dragging = True
        self.capture_mouse()
        self._seek(event.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Follow the mouse."""
        if self._dragging:
            self._seek(event.x)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        self._dragging = False
        self.release_mouse()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """One event back."""
        event.stop()
        self.post_message(self.Moved(self.position - 1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """One event on."""
        event.stop()
        self.post_message(self.Moved(self.position + 1))

    def _seek(self, x: int) -> None:
        width = self._bar_width()
        if 0 <= x < width and self.last:
            place = 1 + round(x * (self.last - 1) / max(width - 1, 1))
            self.post_message(self.Moved(place))

    def place_of(self, seq: int) -> int:
        """Return the cell of the bar at which an event stands."""
        width = self._bar_width()
        return round((seq - 1) * (width - 1) / max(self.last - 1, 1))

    def render_line(self, y: int) -> Strip:
        """Draw the bar and the label."""
        from rich.segment import Segment
        from textual.strip import Strip

        width, base = self._bar_width(), self.rich_style
        failed = {self.place_of(seq) for seq in self._failures} if self.last else set()
        at = self.place_of(self.position) if self.last else 0
        segments = []
        for cell in range(width):
            text, name = ("━", "run") if cell <= at else ("─", "dim")
            if cell in failed:
                text, name = "✗", "bad"
            if cell == at:
                text, name = ("●" if self._live else "◆"), ("ok" if self._live else "warn")
            segments.append(Segment(text, base + self._look(name)))
        room = max(0, self.size.width - width - 1)
        segments.append(Segment(" " + fit(self.label, room), base))
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _look(self, name: str) -> Style:
        return self.get_component_rich_style(f"scrub--{name}", partial=True)
