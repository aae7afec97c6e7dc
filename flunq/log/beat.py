"""One beat for what looks after something every second or so.

To wake a processor up costs more than such a look: those that happen at the same moment share it,
and so do the processes of a machine, because their loops follow the same clock.
"""

from __future__ import annotations

import asyncio

BEAT = 1.0
_EARLY = 0.05
"""Seconds that a loop may wake up before its time, with room to spare."""


async def sleep_to_beat(longest: float) -> None:
    """Sleep until the last beat within so many seconds."""
    await asyncio.sleep(until_beat(asyncio.get_running_loop().time(), longest))


def until_beat(now: float, longest: float) -> float:
    """Return the seconds to the last beat within ``longest``, which may be too short for one.

    One that comes just after that counts, too: who wakes up a little early must not wake up twice.
    """
    if longest < BEAT:
        return longest
    return (now + longest + _EARLY) // BEAT * BEAT - now
