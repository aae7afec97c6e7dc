"""Inputs that may kill the process: tried under watch after a crash, set aside the second time.

After a take-over from an owner that did not leave in order, each input that was already waiting is
named in the store before it is tried, with how often that was. If the name is still there at the
next such take-over, a process died while it tried that input. Other reasons to die exist, so the
input gets a second chance; then it is quarantined untried.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flunq.core.ids import token
from flunq.log.ports import OutcomeUnknownError, StoreFullError

if TYPE_CHECKING:
    from flunq.log.ports import KeyValue

log = logging.getLogger(__name__)

DEATHS = 2
"""Deaths while an input was tried, after which it is not tried again."""


class Suspects:
    """The note about what a partition's owner is trying."""

    def __init__(self, state: KeyValue, tenant: str, partition: int) -> None:
        self._state = state
        self._key = f"{token(tenant)}.{partition}.suspect"
        self._noted = False
        self._killer: str | None = None
        self._deaths = 0

    async def look(self, *, graceful: bool) -> None:
        """Read the last owner's note; one that left in order cannot have died of it."""
        entry = await self._state.get(self._key)
        if entry is not None:
            self._noted = True
            if not graceful:
                tries, _, self._killer = entry.value.decode().partition(" ")
                self._deaths = int(tries)

    async def is_killer(self, name: str) -> bool:
        """Note that an input is about to be tried; tell whether it killed a process before."""
        deaths = self._deaths if name == self._killer else 0
        if deaths >= DEATHS:
            return True
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
        try:
            await self._state.delete(self._key)
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("the note about what was tried stays for a while: %s", error)
        else:
            self._noted = False
