"""What can be done now; what cannot be done is grey and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from flunq_tui.dialogs.base import Dialog
from flunq_tui.text import fit, harmless, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the menu."""

    id: str
    key: str
    text: str
    reason: str = ""
    """Why it is impossible; empty: it is possible."""


class Menu(Dialog[str]):
    """Enter takes the entry under the cursor; grey ones cannot be taken."""

    def __init__(self, heading: str, entries: Sequence[Entry]) -> None:
        super().__init__(heading)
        self._entries = entries

    def compose(self) -> ComposeResult:
        """The entries, the keys in a column of their own."""
        room = max((width_of(each.key) for each in self._entries), default=0)
        with Vertical():
            yield self.heading()
            yield OptionList(*(_option(each, room) for each in self._entries), compact=True)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self.dismiss(self._entries[event.option_index].id)


def _option(entry: Entry, room: int) -> Option:
    why = f"  ({entry.reason})" if entry.reason else ""
    text = harmless(f"{fit(entry.key, room)}  {entry.text}{why}")
    return Option(Content(text), disabled=bool(entry.reason))
