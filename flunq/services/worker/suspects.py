"""Inputs that may kill the process: tried under watch after a crash, set aside the second time.

After a take-over from an owner that did not leave in order, each input that was already waiting is
named in the store before it is tried, with how often that was. If the name is still there at the
next such take-over, a process died while it tried that input. Other reasons to die exist, so the
input gets a second chance; then it is quarantined untried. A task that is under suspicion itself
(see ``adoption``) waits until the inputs at hand were tried, so that a death accuses one of them.

What was not waiting then (a timer, an event, an outcome) is not named, for that would slow every
take-over down. But when one owner after the other dies soon, the next one is careful: it names
everything that it tries, until it has lived for a while.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from flunq.core.ids import token
from flunq.log.ports import OutcomeUnknownError, StoreFullError

if TYPE_CHECKING:
    from flunq.log.ports import KeyValue

log = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds; on a busy machine inputs take a while, and a task that kills must not accuse them."""
HASTY_DEATHS = 2
"""Owners that died soon, one after the other, after which the next one is careful."""
DEATHS = 2
"""Deaths while an input was tried, after which it is not tried again.

A deadly task may run beside an input under watch once: its second time. Then it is tried alone.
"""


class Trials:
    """What one process tries under suspicion at this moment, in all of its partitions."""

    def __init__(self) -> None:
        self.tasks = asyncio.Lock()
        """Held while a task runs that may have killed processes before."""
        self._inputs = 0
        self._no_inputs = asyncio.Event()
        self._no_inputs.set()

    @property
    def under_way(self) -> bool:
        """Whether something is being tried now."""
        return bool(self._inputs) or self.tasks.locked()

    def begin_input(self) -> None:
        """An input is named and will be tried."""
        self._inputs += 1
        self._no_inputs.clear()

    def end_input(self) -> None:
        """No input of that partition is named any more."""
        self._inputs -= 1
        if not self._inputs:
            self._no_inputs.set()

    async def no_inputs(self) -> None:
        """Wait, not for ever, until no input is being tried."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while self._inputs:
                    await self._no_inputs.wait()


class Suspects:
    """The note about what a partition's owner is trying."""

    def __init__(self, state: KeyValue, trials: Trials, tenant: str, partition: int) -> None:
        self._state = state
        self._trials = trials
        self._key = f"{token(tenant)}.{partition}.suspect"
        self._hasty_key = f"{token(tenant)}.{partition}.hasty"
        self._noted = False
        self._trying = False
        self._killer: str | None = None
        self._deaths = 0
        self._hasty = 0
        self._counted = False
        self.turn = asyncio.Lock()
        """Held from the note about an input until that is applied."""

    @property
    def careful(self) -> bool:
        """Whether everything has to be tried under watch."""
        return self._hasty >= HASTY_DEATHS

    async def look(self, *, graceful: bool) -> None:
        """Read the last owner's note; one that left in order cannot have died of it."""
        entry = await self._state.get(self._key)
        if entry is not None:
            self._noted = True
            if not graceful:
                tries, _, self._killer = entry.value.decode().partition(" ")
                self._deaths = int(tries)
        await self._count_hasty(graceful=graceful)

    async def _count_hasty(self, *, graceful: bool) -> None:
        entry = await self._state.get(self._hasty_key)
        self._counted = entry is not None
        if graceful:
            await self.calm()
            return
        self._hasty = int(entry.value) if entry is not None else 0
        self._counted = True
        try:
            await self._state.put(self._hasty_key, b"%d" % (self._hasty + 1))
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("the death of an owner is not counted: %s", error)

    async def calm(self) -> None:
        """An owner has lived long enough."""
        if not self._counted:
            return
        try:
            await self._state.delete(self._hasty_key)
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("the deaths of owners stay counted for a while: %s", error)
        else:
            self._counted = False

    async def is_killer(self, name: str) -> bool:
        """Note that an input is about to be tried; tell whether it killed a process before."""
        deaths = self._deaths if name == self._killer else 0
        if deaths >= DEATHS:
            return True
        if not self._trying:
            self._trying = True
            self._trials.begin_input()
        self._noted = True
        try:
            await self._state.put(self._key, f"{deaths + 1} {name}".encode())
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("%s is tried without a note about it: %s", name, error)
        return False

    async def clear(self) -> None:
        """Everything that was waiting has been tried."""
        if not self._noted:
            return
        async with self.turn:
            try:
                await self._state.delete(self._key)
            except (OutcomeUnknownError, StoreFullError) as error:
                log.warning("the note about what was tried stays for a while: %s", error)
            else:
                self._noted = False
                self.close()

    def close(self) -> None:
        """Nothing is being tried any more, maybe because the owner was replaced."""
        if self._trying:
            self._trying = False
            self._trials.end_input()
