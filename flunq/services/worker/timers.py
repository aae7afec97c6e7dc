"""Timers of one partition: fire within milliseconds, never early, in bounded slices.

They are those of the executions in memory. The next timer of one that is not stands in the index
of the places, and its execution is brought back in time.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flunq.services.clock import Clock

BUCKET = 60_000_000
HORIZON = 2 * BUCKET
"""Timers farther away than this (microseconds) are kept by bucket, not in order."""
Moment = tuple[int, str, str]
"""When a timer is due, its execution and its name."""
WAKE = 3_600_000_000
"""The broker reminds of what is due later than this."""
SLICE = 8
"""Timers fired before other work of the process gets its turn."""
GRAIN = 0.001
"""Seconds that the next timer is waited for at least: those in between fire together."""


class Timers:
    """A heap of near timers and buckets of far ones.

    A disarmed timer stays in the heap; whoever gets it looks whether it still is armed.
    """

    def __init__(
        self,
        clock: Clock,
        fire: Callable[[Moment], None],
        expect: Callable[[Moment], None],
    ) -> None:
        self._clock = clock
        self._fire = fire
        self._expect = expect
        """Told of each timer that will fire within the horizon."""
        self._heap: list[Moment] = []
        self._far: dict[tuple[str, str], int] = {}
        self._buckets: dict[int, dict[tuple[str, str], None]] = {}
        self._handle: asyncio.Handle | None = None
        self._closed = False
        self.firing = False
        """More fire as soon as the loop has done what else there is, or before."""

    def __len__(self) -> int:
        return len(self._heap) + len(self._far)

    def arm(self, execution: str, timer: str, due: int) -> None:
        """Fire ``timer`` of ``execution`` at ``due``."""
        if due - self._clock.now() > HORIZON:
            self.disarm(execution, timer)
            self._far[execution, timer] = due
            self._buckets.setdefault(due // BUCKET, {})[execution, timer] = None
            return
        moment = (due, execution, timer)
        heappush(self._heap, moment)
        if self._heap[0] is moment:
            self._schedule()
        self._expect(moment)

    def disarm(self, execution: str, timer: str) -> None:
        """Forget a timer if it is a far one."""
        due = self._far.pop((execution, timer), None)
        if due is not None:
            bucket = self._buckets[due // BUCKET]
            del bucket[execution, timer]
            if not bucket:
                del self._buckets[due // BUCKET]

    def next_far(self) -> int | None:
        """Return about when the first of the far timers is due."""
        return min(self._buckets) * BUCKET if self._buckets else None

    def sort_near(self) -> None:
        """Put those timers in order that have come within the horizon."""
        limit = (self._clock.now() + HORIZON) // BUCKET
        for bucket in [bucket for bucket in self._buckets if bucket < limit]:
            for execution, timer in self._buckets.pop(bucket):
                self.arm(execution, timer, self._far.pop((execution, timer)))

    def is_behind(self) -> bool:
        """Tell whether some are due that have not fired yet."""
        return bool(self._heap) and self._heap[0][0] <= self._clock.now()

    def catch_up(self) -> bool:
        """Fire some that are due by now, if there are any; tell whether there are more."""
        if self.is_behind() and not self._closed:
            self._due()
        return self.firing

    def close(self) -> None:
        """Fire nothing any more."""
        self._closed = True
        self.firing = False
        if self._handle is not None:
            self._handle.cancel()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._heap or self._closed:
            return
        loop = asyncio.get_running_loop()
        if self.firing:
            # At once, whatever the clock says by now: somebody counts on it.
            self._handle = loop.call_soon(self._due)
        else:
            delay = (self._heap[0][0] - self._clock.now()) / 1_000_000
            self._handle = loop.call_later(max(GRAIN, delay), self._due)

    def _due(self) -> None:
        self.firing = False
        now = self._clock.now()
        fired = 0
        while self._heap and self._heap[0][0] <= now and fired < SLICE:
            self._fire(heappop(self._heap))
            fired += 1
        self.firing = bool(self._heap) and self._heap[0][0] <= now
        self._schedule()


def first_of(moments: Iterable[int | None]) -> int | None:
    """Return the earliest of those moments that there are."""
    return min((moment for moment in moments if moment is not None), default=None)
