"""Who wants to hear how executions end, forgotten unless they ask again from time to time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.services.clock import Clock

WATCH_MICROSECONDS = 60_000_000
"""A watcher is remembered for this long at least, and at most twice as long."""


class Watchers:
    """Mailboxes by execution, in two generations: hundreds of thousands of starts in a minute
    must cost little more than their ids.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._young: dict[str, str | tuple[str, ...]] = {}
        self._old: dict[str, str | tuple[str, ...]] = {}
        self._turns_at = clock.now() + WATCH_MICROSECONDS

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def add(self, execution: str, mailbox: str) -> None:
        """Remember that a mailbox wants the result."""
        box = sys.intern(mailbox)
        known = self._young.get(execution)
        if known is None:
            self._young[execution] = box
        elif box not in (boxes := _boxes(known)):
            self._young[execution] = (*boxes, box)

    def take(self, execution: str) -> Iterable[str]:
        """Return the mailboxes that want a result, and forget them."""
        young, old = self._young.pop(execution, ()), self._old.pop(execution, ())
        if not old:
            return _boxes(young)
        return dict.fromkeys((*_boxes(young), *_boxes(old)))

    def forget(self) -> None:
        """Drop those that nobody asked for again; to be called every now and then."""
        now = self._clock.now()
        if now >= self._turns_at:
            self._turns_at = now + WATCH_MICROSECONDS
            self._old, self._young = self._young, {}


def _boxes(known: str | tuple[str, ...]) -> tuple[str, ...]:
    return (known,) if isinstance(known, str) else known
