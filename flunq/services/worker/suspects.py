"""Inputs that may kill the process: tried under watch after a crash, set aside the second time.

After a take-over from an owner that did not leave in order, each input that was already waiting is
named in the store before it is tried. If the name is still there at the next such take-over, the
process died on that input again, and it is quarantined untried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.ids import token

if TYPE_CHECKING:
    from flunq.log.ports import KeyValue


class Suspects:
    """The note about what a partition's owner is trying."""

    def __init__(self, state: KeyValue, tenant: str, partition: int) -> None:
        self._state = state
        self._key = f"{token(tenant)}.{partition}.suspect"
        self._noted = False
        self._killer: str | None = None

    async def look(self, *, graceful: bool) -> None:
        """Read the last owner's note; one that left in order cannot have died of it."""
        entry = await self._state.get(self._key)
        if entry is not None:
            self._noted = True
            if not graceful:
                self._killer = entry.value.decode()

    async def is_killer(self, name: str) -> bool:
        """Note that an input is about to be tried; tell whether it killed a process before."""
        if name == self._killer:
            return True
        await self._state.put(self._key, name.encode())
        self._noted = True
        return False

    async def clear(self) -> None:
        """Everything that was waiting has been tried."""
        if self._noted:
            await self._state.delete(self._key)
        self._noted = False
        self._killer = None
