"""The frame of all dialogs."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual.screen import ModalScreen

from flunq_tui.widgets.status_lines import OneLine

T = TypeVar("T")


class Dialog(ModalScreen[T | None], Generic[T]):
    """A box in the middle; escape leaves it without a result."""

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical {
        width: 90%; max-width: 90; height: auto; max-height: 90%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    Dialog > Vertical.-tall { height: 90%; }
    Dialog #heading { text-style: bold; }
    Dialog Horizontal { height: auto; }
    Dialog Button { margin: 0 1 0 0; }
    """
    BINDINGS: ClassVar = [("escape", "leave", "")]

    def __init__(self, heading: str) -> None:
        super().__init__()
        self._heading = heading

    def heading(self) -> OneLine:
        """Return the first line."""
        return OneLine(id="heading")

    def on_mount(self) -> None:
        """Fill it in; one that was left before it stood has nothing to fill in."""
        if self.query("#heading"):
            self.fill()

    def fill(self) -> None:
        """Write the first line."""
        self.query_one("#heading", OneLine).show_parts((self._heading, "bold"))

    def action_leave(self) -> None:
        """Close without a result."""
        self.dismiss(None)
