"""How many writer processes there may be: those of many tenants must not take all the memory."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

MOST = 8
"""Processes of one control process that write; each takes some 65 MB, more while it merges."""
MOST_READING = 4
"""Those that read histories."""


class Holder(Protocol):
    """Whoever has a process."""

    @property
    def is_idle(self) -> bool:
        """Whether it would lose nothing with its process."""
        ...

    async def make_way(self) -> None:
        """End the process and give the slot back, if it is idle still."""
        ...


class Slots:
    """Hands out slots; one that is wanted is taken from whoever used its own longest ago."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._holders: dict[Holder, None] = {}
        """The one that took its slot last stands last."""
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._holders)

    async def take(self, holder: Holder) -> None:
        """Wait for a slot."""
        while len(self._holders) >= self._most:
            idle = next((each for each in self._holders if each.is_idle), None)
            if idle is not None:
                await idle.make_way()
            else:
                self._changed.clear()
                await self._changed.wait()
        self._holders[holder] = None

    def used(self, holder: Holder) -> None:
        """Note that a holder has done something, and may be idle now."""
        if holder in self._holders:
            del self._holders[holder]
            self._holders[holder] = None
        self._changed.set()

    def give(self, holder: Holder) -> None:
        """Take a slot back."""
        self._holders.pop(holder, None)
        self._changed.set()


class Pools(NamedTuple):
    """The slots of one process: nobody waits for an answer until others have written."""

    writing: Slots
    reading: Slots


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Pools] = WeakKeyDictionary()


def shared_slots() -> Pools:
    """Return the slots of this process: those of the loop that runs."""
    loop = asyncio.get_running_loop()
    pools = _of_loops.get(loop)
    if pools is None:
        pools = _of_loops[loop] = Pools(Slots(), Slots(MOST_READING))
    return pools
