"""How far something is, as a bar of characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WIDTH = 24
_UPDATES = 200
"""A bar that is drawn for each of a million executions would be what is measured."""


class Bar:
    """Tells how much of a known amount is done."""

    def __init__(self, tell: Callable[[str], None], of: int, what: str = "executions") -> None:
        self._tell = tell
        self._of = max(1, of)
        self._what = what
        self._every = max(1, self._of // _UPDATES)
        self.done = 0

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        if self.done % self._every == 0 or self.done == self._of:
            self._tell(self.text)

    @property
    def text(self) -> str:
        """The bar with its numbers."""
        full = min(_WIDTH, _WIDTH * self.done // self._of)
        return f"[{'#' * full}{'-' * (_WIDTH - full)}] {self.done:,} of {self._of:,} {self._what}"
