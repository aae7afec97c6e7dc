"""Which workflows are paused: one record of the tenant, and what a process knows of it.

Every owner reads the record after it has taken its partition over and before it does anything,
and again whenever it is told to. So whoever changed the record and has heard from every owner
knows that nobody acts on what it was before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.core.flow import WorkflowPause
from flunq.core.ids import token
from flunq.errors import ConflictError
from flunq.log.ports import RevisionConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.execution.commands import WorkflowRef
    from flunq.log.ports import KeyValue

    Edit = Callable[[tuple[WorkflowPause, ...]], tuple[WorkflowPause, ...]]

MOST_TRIES = 10
MOST_PAUSES = 1_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[WorkflowPause, ...]).decode


class Pauses:
    """The pauses of a tenant's workflows, as this process read them last."""

    def __init__(self, definitions: KeyValue, tenant: str) -> None:
        self.found: tuple[WorkflowPause, ...] = ()
        self.revision = 0
        self.listeners: list[Callable[[], None]] = []
        """Called at once when they are others."""
        self._bucket = definitions
        self._key = f"{token(tenant)}.pauses"
        self._turn = asyncio.Lock()
        self._read_at = float("-inf")

    def of(self, ref: WorkflowRef) -> WorkflowPause | None:
        """Return the pause of a definition; of several one that holds everything."""
        found = [pause for pause in self.found if pause.concerns(ref)]
        return min(found, key=lambda pause: pause.starts_only, default=None)

    def holds(self, pause: str) -> bool:
        """Tell whether a pause is in force."""
        return any(each.id == pause for each in self.found)

    async def refresh(self, revision: int = 0) -> None:
        """Read them, unless they are known to be as new as ``revision``."""
        async with self._turn:
            if revision and self.revision >= revision:
                return
            entry = await self._bucket.get(self._key)
            self._read_at = asyncio.get_running_loop().time()
            if entry is None:
                self._adopt((), 0)
            elif entry.revision != self.revision:
                self._adopt(_decode(entry.value), entry.revision)

    async def keep_up(self, within: float) -> None:
        """Read them, unless one of the owners of this process did within so many seconds."""
        if asyncio.get_running_loop().time() - self._read_at > within:
            await self.refresh()

    async def change(self, edit: Edit) -> int:
        """Store others, made of those there are; return the revision."""
        for _ in range(MOST_TRIES):
            await self.refresh()
            before, revision = self.found, self.revision
            after = edit(before)
            if after == before:
                return revision
            try:
                stored = await self._bucket.swap(self._key, _encode(after), revision=revision)
            except RevisionConflictError:
                continue
            await self.refresh(stored)
            return stored
        raise ConflictError("the pauses change all the time", hint="try again")

    def _adopt(self, found: tuple[WorkflowPause, ...], revision: int) -> None:
        changed, self.revision = found != self.found, revision
        self.found = found
        for listener in self.listeners if changed else ():
            listener()
