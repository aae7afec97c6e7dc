"""What looks after something every second wakes up together, at most a little later than asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.log.beat import sleep_past_beat, sleep_to_beat, until_beat
from flunq.testing.clock import VirtualLoop, run_virtually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


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


@pytest.mark.parametrize(
    ("begin", "to", "past"),
    [(0.002, 1.0, 1.0), (0.3, 1.0, 2.0), (0.96, 2.0, 2.0)],
)
def test_a_second_ends_with_the_beat_before_or_the_one_after_it(
    begin: float, to: float, past: float
) -> None:
    async def ended(sleep: Callable[[float], Awaitable[None]]) -> float:
        await asyncio.sleep(begin)
        await sleep(1.0)
        return asyncio.get_running_loop().time()

    for sleep, end in ((sleep_to_beat, to), (sleep_past_beat, past)):
        loop = VirtualLoop()
        start = loop.time()
        assert run_virtually(ended(sleep), loop) - start == pytest.approx(end)
