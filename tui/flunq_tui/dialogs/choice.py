"""Choose one thing of a list, or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, SelectionList

from flunq_tui.dialogs.base import Dialog
from flunq_tui.text import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class Choice(Dialog[str]):
    """Enter takes the option under the cursor."""

    def __init__(self, heading: str, options: Sequence[tuple[str, str]]) -> None:
        super().__init__(heading)
        self._options = list(options)

    def compose(self) -> ComposeResult:
        """A list."""
        with Vertical():
            yield self.heading()
            yield OptionList(
                *(Content(harmless(title)) for _, title in self._options), compact=True
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self.dismiss(self._options[event.option_index][0])


class Choices(Dialog[set[str]]):
    """Space chooses, enter takes what is chosen."""

    BINDINGS: ClassVar = [("enter", "take", "")]

    def __init__(self, heading: str, options: Sequence[tuple[str, str]], chosen: set[str]) -> None:
        super().__init__(heading)
        self._options = options
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """A list with boxes."""
        with Vertical():
            yield self.heading()
            yield _Boxes(
                *(
                    (Content(harmless(title)), name, name in self._chosen)
                    for name, title in self._options
                ),
                compact=True,
            )

    def action_take(self) -> None:
        """Close with what is chosen."""
        self.dismiss(set(self.query_one(_Boxes).selected))


class _Boxes(SelectionList[str]):
    """Enter belongs to the dialog, space alone chooses."""

    BINDINGS: ClassVar = [("enter", "screen.take", "")]
