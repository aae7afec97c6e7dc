"""Timers in virtual time."""

from __future__ import annotations

import asyncio

from flunq.services.worker.timers import HORIZON, SLICE, Timers, bucket_of, start_of
from flunq.testing.clock import VirtualClock, VirtualLoop, run_virtually

SECOND = 1_000_000


class Fired:
    """Collects what fires, with the moment."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.seen: list[tuple[str, str, int]] = []
        self.timers = Timers(self.clock, self._fire)

    def _fire(self, execution: str, timer: str, due: int) -> None:
        self.seen.append((execution, timer, self.clock.now() - due))

    def after(self, seconds: float) -> list[tuple[str, str, int]]:
        run_virtually(asyncio.sleep(seconds), self.loop)
        return self.seen


def test_timers_fire_in_order_and_never_early() -> None:
    fired = Fired()
    now = fired.clock.now()

    async def main() -> None:
        for name, delay in (("c", 3), ("a", 1), ("b", 2)):
            fired.timers.arm(name, "t", now + delay * SECOND)
        await asyncio.sleep(5)

    run_virtually(main(), fired.loop)
    assert [execution for execution, _, _ in fired.seen] == ["a", "b", "c"]
    assert all(0 <= late < 1000 for _, _, late in fired.seen)


def test_a_storm_is_fired_in_slices() -> None:
    fired = Fired()
    turns: list[int] = []

    async def main() -> None:
        due = fired.clock.now() + SECOND
        for number in range(3 * SLICE):
            fired.timers.arm(f"e{number}", "t", due)
        await asyncio.sleep(1.0)
        while len(fired.seen) < 3 * SLICE:
            turns.append(len(fired.seen))
            await asyncio.sleep(0)

    run_virtually(main(), fired.loop)
    assert {SLICE, 2 * SLICE} <= set(turns)


def test_far_timers_wait_in_their_hour() -> None:
    fired = Fired()

    async def main() -> tuple[list[int], set[str], set[str]]:
        due = fired.clock.now() + 5 * HORIZON
        fired.timers.arm("far", "t", due)
        buckets = fired.timers.far_buckets()
        early = set(fired.timers.take_near())
        await asyncio.sleep((start_of(bucket_of(due)) - fired.clock.now()) / SECOND + 1)
        return buckets, early, set(fired.timers.take_near())

    buckets, early, near = run_virtually(main(), fired.loop)
    assert len(buckets) == 1
    assert early == set()
    assert near == {"far"}
    assert not fired.seen


def test_nothing_fires_after_the_end() -> None:
    fired = Fired()

    async def main() -> None:
        fired.timers.arm("e", "t", fired.clock.now() + SECOND)
        fired.timers.close()
        await asyncio.sleep(3)

    run_virtually(main(), fired.loop)
    assert fired.seen == []
