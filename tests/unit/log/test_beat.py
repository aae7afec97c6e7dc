"""What looks after something every second wakes up together, at most a little later than asked."""

from __future__ import annotations

import asyncio

import pytest

from flunq.log.beat import sleep_to_beat, until_beat
from flunq.testing.clock import VirtualLoop, run_virtually
from tests.support.waiting import elapse


@pytest.mark.parametrize(
    ("now", "longest", "beat"),
    [
        (7.0, 1.0, 8.0),
        (7.002, 1.0, 8.0),
        (6.999, 1.0, 8.0),  # woken up a little early: not once more for the beat that is now
        (7.3, 1.0, 8.0),
        (7.9, 1.0, 8.0),
        (7.3, 3.0, 10.0),
    ],
)
def test_a_beat_is_never_much_later_than_asked_for(now: float, longest: float, beat: float) -> None:
    assert now + until_beat(now, longest) == pytest.approx(beat)


def test_what_is_shorter_than_a_beat_lasts_as_long_as_it_says() -> None:
    assert until_beat(7.3, 0.2) == 0.2


def test_sleepers_that_began_at_different_moments_wake_up_together() -> None:
    async def ends_of(begins: list[float]) -> list[float]:
        return await asyncio.gather(*(end_of(begin) for begin in begins))

    async def end_of(begin: float) -> float:
        await elapse(begin)
        await sleep_to_beat(2.0)
        return asyncio.get_running_loop().time()

    assert run_virtually(ends_of([0.0, 0.3, 0.9]), VirtualLoop()) == [2.0, 2.0, 2.0]
