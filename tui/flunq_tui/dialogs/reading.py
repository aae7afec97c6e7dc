"""Something to read: help, an answer, a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical

from flunq_tui.dialogs.base import Dialog
from flunq_tui.widgets.json_pane import JsonPane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from textual.app import ComposeResult

    from flunq_tui.widgets.json_pane import Plain


class Reading(Dialog[None]):
    """Lines or a JSON value; moves with the usual keys, ``c`` copies."""

    BINDINGS: ClassVar = [
        ("q", "leave", ""),
        ("up,k", "move(-1)", ""),
        ("down,j", "move(1)", ""),
        ("pageup", "move(-10)", ""),
        ("pagedown,space", "move(10)", ""),
        ("home,g", "move(-1000000)", ""),
        ("end,G", "move(1000000)", ""),
        ("enter", "fold", ""),
        ("c,y", "copy", ""),
    ]

    def __init__(
        self,
        heading: str,
        *,
        lines: Sequence[Plain] = (),
        value: Any = None,
        copy: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(heading)
        self._lines = lines
        self._value = value
        self._copy = copy

    def compose(self) -> ComposeResult:
        """One pane."""
        with Vertical(classes="-tall"):
            yield self.heading()
            yield JsonPane(id="reading")

    def fill(self) -> None:
        """Fill it."""
        super().fill()
        pane = self.query_one(JsonPane)
        if self._lines:
            pane.show_lines(self._lines, "reading")
        else:
            pane.show_value(self._value, "reading")
        pane.focus()

    def action_move(self, distance: int) -> None:
        """Move the cursor."""
        self.query_one(JsonPane).move(distance)

    def action_fold(self) -> None:
        """Fold or unfold."""
        self.query_one(JsonPane).toggle()

    def action_copy(self) -> None:
        """Copy all of it."""
        if self._copy is not None:
            self._copy(self.query_one(JsonPane).text_to_copy())
