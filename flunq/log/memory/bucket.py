"""One key-value bucket in memory; revisions count over the whole bucket."""

from __future__ import annotations

from flunq.log.ports import Entry, RevisionConflictError


class MemoryBucket:
    """Newest value and revision of each key."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._revision = 0

    def get(self, key: str) -> Entry | None:
        """Return a key's entry."""
        return self._entries.get(key)

    def put(self, key: str, value: bytes) -> int:
        """Store a value; return its revision."""
        self._revision += 1
        self._entries[key] = Entry(key, bytes(value), self._revision)
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
        self._entries.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with a prefix, sorted."""
        return sorted(key for key in self._entries if key.startswith(prefix))
