"""A text to edit, where no editor can have the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.widgets import Button, TextArea

from flunq_tui.dialogs.base import Dialog

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Editing(Dialog[str]):
    """Returns the text as it was left; ctrl+s takes it."""

    DEFAULT_CSS = "Editing TextArea { height: 1fr; }"
    BINDINGS: ClassVar = [("ctrl+s", "take", "")]

    def __init__(self, heading: str, text: str, *, send: str) -> None:
        super().__init__(heading)
        self._text = text
        self._send = send

    def compose(self) -> ComposeResult:
        """The text, and a button."""
        with Vertical(classes="-tall"):
            yield self.heading()
            yield TextArea(self._text, id="text", compact=True)
            with Horizontal():
                yield Button(f"{self._send} (ctrl+s)", variant="primary", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Take the text."""
        self.action_take()

    def action_take(self) -> None:
        """Close with the text."""
        self.dismiss(self.query_one(TextArea).text)
