"""One key-value bucket in memory; revisions count over the whole bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.capacity import StreamUse
from flunq.log.ports import Entry, RevisionConflictError

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryBucket:
    """Newest value and revision of each key."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._entries: dict[str, Entry] = {}
        self._written: dict[str, int] = {}
        self._revision = 0
        self._deletions = 0

    def get(self, key: str) -> Entry | None:
        """Return a key's entry."""
        return self._entries.get(key)

    def put(self, key: str, value: bytes) -> int:
        """Store a value; return its revision."""
        self._revision += 1
        self._entries[key] = Entry(key, bytes(value), self._revision)
        self._written[key] = self._now()
        return self._revision

    def swap(self, key: str, value: bytes, revision: int) -> int:
        """Store a value if the key is still at ``revision``."""
        entry = self._entries.get(key)
        found = entry.revision if entry else 0
        if found != revision:
            raise RevisionConflictError(f"{key} is at revision {found}, not at {revision}")
        return self.put(key, value)

    def delete(self, key: str) -> None:
        """Remove a key if it is there."""
        self._deletions += self._entries.pop(key, None) is not None
        self._written.pop(key, None)

    def use(self, name: str) -> StreamUse:
        """Say how full it is."""
        return StreamUse(
            name=name,
            kind=name,
            messages=len(self._entries),
            bytes=sum(len(entry.value) for entry in self._entries.values()),
            subjects=len(self._entries),
            first_at=min(self._written.values(), default=None),
            last_at=max(self._written.values(), default=None),
        )

    def since(self, revision: int) -> list[Entry]:
        """Return the entries of later revisions, oldest first."""
        found = [entry for entry in self._entries.values() if entry.revision > revision]
        return sorted(found, key=lambda entry: entry.revision)

    def stamp(self) -> str:
        """Return what is another text after every change."""
        return f"{self._revision} {self._deletions}"

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with a prefix, sorted."""
        return sorted(key for key in self._entries if key.startswith(prefix))
