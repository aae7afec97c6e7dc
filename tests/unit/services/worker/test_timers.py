"""Timers in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.services.worker.timers import BUCKET, HORIZON, SLICE, Moment, Timers
from flunq.testing.clock import VirtualClock, VirtualLoop, run_virtually
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000


class Fired:
    """Collects what fires, with the moment."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.seen: list[tuple[str, str, int]] = []
        self.expected: list[Moment] = []
        self.timers = Timers(self.clock, self._fire, self.expected.append)
        self.at_each_slice: Callable[[], None] = lambda: None

    def _fire(self, moment: Moment) -> None:
        due, execution, timer = moment
        self.seen.append((execution, timer, self.clock.now() - due))
        if len(self.seen) % SLICE == 1:
            asyncio.get_running_loop().call_soon(self.at_each_slice)


def test_timers_fire_in_order_and_never_early() -> None:
    fired = Fired()
    now = fired.clock.now()

    async def main() -> None:
        for name, delay in (("c", 3), ("a", 1), ("b", 2)):
            fired.timers.arm(name, "t", now + delay * SECOND)
        assert [execution for _, execution, _ in fired.expected] == ["c", "a", "b"]
        await elapse(5)

    run_virtually(main(), fired.loop)
    assert [execution for execution, _, _ in fired.seen] == ["a", "b", "c"]
    assert all(0 <= late < 1000 for _, _, late in fired.seen)


def test_others_get_their_turn_between_the_slices_of_a_storm() -> None:
    fired = Fired()
    turns: list[tuple[int, bool]] = []
    fired.at_each_slice = lambda: turns.append((len(fired.seen), fired.timers.firing))

    async def main() -> None:
        due = fired.clock.now() + SECOND
        for number in range(3 * SLICE):
            fired.timers.arm(f"e{number}", "t", due)
        await elapse(2.0)

    run_virtually(main(), fired.loop)
    assert turns == [(SLICE, True), (2 * SLICE, True), (3 * SLICE, False)]


def test_who_catches_up_need_not_wait_for_the_next_look() -> None:
    fired = Fired()
    late = SLICE + 3

    async def main() -> None:
        timers, due = fired.timers, fired.clock.now() + SECOND
        assert not timers.catch_up()
        for number in range(late):
            timers.arm(f"e{number}", "t", due)
        timers.arm("later", "t", due + SECOND)
        await elapse(0.7)
        fired.clock.jump(0.4)
        assert timers.catch_up()
        assert len(fired.seen) == SLICE
        assert not timers.catch_up()
        assert len(fired.seen) == late
        assert not timers.catch_up()
        await elapse(2)

    run_virtually(main(), fired.loop)
    assert [execution for execution, _, _ in fired.seen][-1] == "later"
    assert len(fired.seen) == late + 1


def test_who_catches_up_after_the_end_fires_nothing() -> None:
    fired = Fired()

    async def main() -> None:
        fired.timers.arm("e", "t", fired.clock.now() + SECOND)
        fired.timers.close()
        fired.clock.jump(2)
        assert not fired.timers.catch_up()

    run_virtually(main(), fired.loop)
    assert fired.seen == []


def test_a_storm_is_over_when_the_clock_is_put_back() -> None:
    fired = Fired()
    fired.at_each_slice = lambda: fired.clock.jump(-3600)
    left: list[bool] = []

    async def main() -> None:
        due = fired.clock.now() + SECOND
        for number in range(2 * SLICE):
            fired.timers.arm(f"e{number}", "t", due)
        await elapse(2.0)
        left.append(fired.timers.firing)
        await elapse(3600)

    run_virtually(main(), fired.loop)
    assert left == [False]
    assert len(fired.seen) == 2 * SLICE


def test_a_far_timer_fires_when_somebody_sorts_the_near_ones() -> None:
    fired = Fired()

    async def main() -> None:
        fired.timers.arm("far", "t", fired.clock.now() + 5 * HORIZON)
        assert fired.expected == []
        while not fired.seen:
            fired.timers.sort_near()
            await elapse(20)

    run_virtually(main(), fired.loop)
    assert [(execution, late < 1000) for execution, _, late in fired.seen] == [("far", True)]
    assert len(fired.timers) == 0
    assert len(fired.expected) == 1


def test_a_far_timer_that_is_disarmed_leaves_nothing_behind() -> None:
    fired = Fired()
    due = fired.clock.now() + 5 * HORIZON

    async def main() -> None:
        fired.timers.arm("far", "t", due)
        fired.timers.arm("far", "t", due + BUCKET)
        assert fired.timers.next_far() == (due + BUCKET) // BUCKET * BUCKET
        fired.timers.disarm("far", "t")

    run_virtually(main(), fired.loop)
    assert (len(fired.timers), fired.timers.next_far()) == (0, None)


def test_nothing_fires_after_the_end() -> None:
    fired = Fired()

    async def main() -> None:
        fired.timers.arm("e", "t", fired.clock.now() + SECOND)
        fired.timers.close()
        await elapse(3)

    run_virtually(main(), fired.loop)
    assert fired.seen == []
