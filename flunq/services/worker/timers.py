"""Timers of one partition: fire within milliseconds, never early, in bounded slices."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flunq.services.clock import Clock

HORIZON = 3_600_000_000
"""Timers farther away than this (microseconds) are kept by bucket, not one by one."""
BUCKET = HORIZON
SLICE = 4
"""Timers fired before other work of the process gets its turn."""


def bucket_of(due: int) -> int:
    """Return the number of the hour that a moment lies in."""
    return due // BUCKET


def start_of(bucket: int) -> int:
    """Return the moment (microseconds) from which a bucket's timers are near."""
    return (bucket - 1) * BUCKET


class Timers:
    """A heap of near timers and buckets of far ones.

    A disarmed timer stays in the heap; whoever gets it looks whether it still is armed.
    """

    def __init__(self, clock: Clock, fire: Callable[[str, str, int], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._heap: list[tuple[int, str, str]] = []
        self._far: dict[int, set[str]] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, execution: str, timer: str, due: int) -> None:
        """Fire ``timer`` of ``execution`` at ``due``."""
        if due - self._clock.now() > HORIZON:
            self._far.setdefault(bucket_of(due), set()).add(execution)
            return
        heappush(self._heap, (due, execution, timer))
        if self._heap[0][0] >= due:
            self._schedule()

    def far_buckets(self) -> list[int]:
        """Return the hours in which far timers come due, soonest first."""
        return sorted(self._far)

    def take_near(self) -> Iterable[str]:
        """Return the executions whose far timers have come within the horizon."""
        limit = bucket_of(self._clock.now() + HORIZON)
        near: set[str] = set()
        for bucket in [b for b in self._far if b <= limit]:
            near |= self._far.pop(bucket)
        return near

    def close(self) -> None:
        """Fire nothing any more."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._heap or self._closed:
            return
        delay = max(0.0, (self._heap[0][0] - self._clock.now()) / 1_000_000)
        self._handle = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._handle = None
        now = self._clock.now()
        fired = 0
        while self._heap and self._heap[0][0] <= now and fired < SLICE:
            due, execution, timer = heappop(self._heap)
            self._fire(execution, timer, due)
            fired += 1
        self._schedule()
