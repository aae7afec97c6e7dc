"""Before something dangerous: what it is, to what, and a deliberate yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.widgets import Button

from flunq_tui.dialogs.base import Dialog
from flunq_tui.widgets.status_lines import OneLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class Confirm(Dialog[bool]):
    """``y`` is yes; enter and escape are no, so that nothing happens by habit."""

    BINDINGS: ClassVar = [("y", "answer(True)", ""), ("n", "answer(False)", "")]

    def __init__(self, question: str, lines: Sequence[str], yes: str, no: str) -> None:
        super().__init__(question)
        self._lines = lines
        self._yes, self._no = yes, no

    def compose(self) -> ComposeResult:
        """The question, what it is about, two answers."""
        with Vertical():
            yield self.heading()
            for number, _ in enumerate(self._lines):
                yield OneLine(id=f"line-{number}")
            with Horizontal():
                yield Button(self._no, id="no", compact=True)
                yield Button(self._yes, id="yes", variant="error", compact=True)

    def fill(self) -> None:
        """Fill the lines in."""
        super().fill()
        for number, line in enumerate(self._lines):
            self.query_one(f"#line-{number}", OneLine).show_parts((line, ""))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Take the answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Take the answer from a key."""
        self.dismiss(yes)
