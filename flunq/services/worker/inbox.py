"""Where a partition stands in its inbox: what the journal already holds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class InboxPosition:
    """The floor up to which everything is in the journal, and the few sequences above it.

    Sequences are the stream's, shared by all partitions, so they have gaps. ``created`` is the
    stream's creation time: in a recreated stream the old numbers mean nothing.
    """

    def __init__(self, created: str = "", floor: int = 0, above: Iterable[int] = ()) -> None:
        self.created = created
        self.floor = floor
        self.above = set(above)
        self._seen_upto = floor
        self._open: set[int] = set()

    @classmethod
    def from_facts(cls, facts: dict[str, Any] | None) -> InboxPosition:
        """Read the position that a commit or a checkpoint recorded."""
        if not facts:
            return cls()
        return cls(facts["created"], facts["floor"], facts["above"])

    def rebase(self, created: str) -> bool:
        """Start again if the stream was recreated; tell whether it was."""
        recreated = bool(self.created) and self.created != created
        if recreated:
            self.floor, self.above, self._seen_upto = 0, set(), 0
            self._open.clear()
        self.created = created
        return recreated

    def read(self, sequence: int) -> bool:
        """Note that an input was read; tell whether its events are still to be made."""
        if sequence <= self.floor or sequence in self.above or sequence in self._open:
            return False
        self._seen_upto = max(self._seen_upto, sequence)
        self._open.add(sequence)
        return True

    def consumed(self, sequence: int) -> None:
        """Note that an input's events are in the commit being built, or that it has none."""
        if sequence in self._open:
            self._open.discard(sequence)
            self.above.add(sequence)
        self.floor = min(self._open) - 1 if self._open else self._seen_upto
        self.above = {s for s in self.above if s > self.floor}

    def facts(self) -> dict[str, Any]:
        """Return what a commit records."""
        return {"created": self.created, "floor": self.floor, "above": sorted(self.above)}
