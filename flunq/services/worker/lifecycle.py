"""Lifecycle events for listeners: they are in the journal, so that is where they are read.

An owner follows the journal of all partitions while one of its executions listens to a lifecycle
type. Its position is recorded with every commit, like that of the bus, and an execution never
hears its own lifecycle.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import REFERENCE
from flunq.core.events import TASK, WORKFLOW, decode_batch_lazily
from flunq.services.worker.claims import check_out

if TYPE_CHECKING:
    from flunq.core.events import LazyEvent
    from flunq.log.ports import Record
    from flunq.services.worker.owner import Owner

log = logging.getLogger(__name__)

_TOLD_WORDS = """
    name definition workflow task error output reason correlationKeys createdAt startedAt
    suspendedAt resumedAt retriedAt cancelledAt faultedAt completedAt
"""
TOLD = frozenset(_TOLD_WORDS.split())
"""Members of an event's data that are the language's; the others are the engine's own."""
_reference_bytes = f'"{REFERENCE}"'.encode()


class LifecycleReader:
    """Reads the journal for one owner, while somebody wants it to."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    async def run(self) -> None:
        """Follow for ever."""
        owner = self._owner
        journal = owner.context.stream.journal
        while True:
            await owner.hearing.lifecycle_wanted.wait()
            async with aclosing(journal.follow(after=owner.hearing.lifecycle.floor)) as records:  # type: ignore[type-var]
                async for record in records:
                    await self._hear(record)
                    if not owner.hearing.listeners.wants_lifecycle:
                        owner.hearing.forget_lifecycle()
                        break

    async def _hear(self, record: Record) -> None:
        owner = self._owner
        if not owner.hearing.lifecycle.read(record.seq):
            return
        heard: list[tuple[dict[str, Any], list[tuple[str, str]]]] = []
        for event in decode_batch_lazily(record.data):
            if event.type.startswith((WORKFLOW, TASK)):
                listeners = owner.hearing.listeners.lifecycle_candidates(event.type, event.subject)
                if listeners:
                    heard.append((await self._told(event), listeners))
        owner.hearing.hear_lifecycle(record.seq, heard)

    async def _told(self, event: LazyEvent) -> dict[str, Any]:
        """Return an event as those outside the engine know it."""
        data = event.value()
        if _reference_bytes in bytes(event.data):
            data = await check_out(data, self._owner.context.database.blobs)
        told = msgspec.structs.asdict(event)
        if event.traceparent is msgspec.UNSET:
            del told["traceparent"]
        told["data"] = {name: value for name, value in data.items() if name in TOLD}
        return told
