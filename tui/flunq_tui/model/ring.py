"""The newest things of an endless stream, in a fixed amount of memory."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Ring(Generic[T]):
    """Keeps the last ``size`` items; each has a number that never changes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.added = 0
        """How many items there ever were: the number of the next one."""
        self._items: list[T] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def first(self) -> int:
        """The number of the oldest item that is kept."""
        return self.added - len(self._items)

    def add(self, item: T) -> None:
        """Append an item; the oldest is dropped when there is no room."""
        if len(self._items) < self.size:
            self._items.append(item)
        else:
            self._items[self.added % self.size] = item
        self.added += 1

    def get(self, number: int) -> T | None:
        """Return an item by its number; None when it is gone or not there yet."""
        if not self.first <= number < self.added:
            return None
        return self._items[number % self.size]

    def clear(self) -> None:
        """Forget all items, not their numbers."""
        kept, self._items = self._items, []
        # Numbers keep their places modulo ``size``, so the next item must come first again.
        self.added += -self.added % self.size if kept else 0
