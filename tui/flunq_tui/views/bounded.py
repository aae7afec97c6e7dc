"""A table of rows that are all in memory: workflows, schedules, services."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flunq_tui.widgets.virtual_table import Row


class BoundedRows:
    """Rows made at once; fine for hundreds."""

    def __init__(self) -> None:
        self._rows: Sequence[Row] = ()
        self._places: dict[Hashable, int] = {}

    def take(self, rows: Sequence[Row]) -> None:
        """Show other rows."""
        self._rows = rows
        self._places = {key: at for at, (key, _) in enumerate(rows)}

    def row_count(self) -> int:
        """Return how many rows there are."""
        return len(self._rows)

    def page(self, offset: int, count: int) -> Sequence[Row]:
        """Return some rows."""
        return self._rows[offset : offset + count]

    def locate(self, key: Hashable) -> int | None:
        """Return the place of a row."""
        return self._places.get(key)
