"""Trimming: the journal forgets what every checkpoint holds and the archive has.

One purge up to the smallest sequence that anybody still needs. Without an archive nothing is
trimmed. A partition that is idle holds the minimum back; it is asked to write a marker.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.core.ids import token
from flunq.core.protocol import Mark, ask_subject
from flunq.log.ports import NoResponderError, OutcomeUnknownError, RequestTimeoutError
from flunq.services.worker.packs import Checkpoint

if TYPE_CHECKING:
    from flunq.services.worker.context import WorkerContext

log = logging.getLogger(__name__)

LAG = 50_000
"""A partition this many sequences behind the archive is asked to write a marker."""
MARK_TIMEOUT = 10.0
MOST_SKIPPED = 16
"""Of looks at a journal of which nothing can be forgotten and nothing more is archived."""


def watermark_key(tenant: str) -> str:
    """Return where the archive says up to which sequence it holds everything."""
    return f"{token(tenant)}.archived"


class Trimmer:
    """Runs beside the catalog, on one node of the tenant."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._seen = (0, 0)
        """The revision of the watermark at the last look, and what came of that."""
        self._skip = self._skipped = 0

    async def run(self) -> None:
        """Trim from time to time."""
        while True:
            await asyncio.sleep(self._context.settings.trim_seconds)
            try:
                await self.trim()
            except (OutcomeUnknownError, NoResponderError, RequestTimeoutError) as error:
                log.warning("the journal was not trimmed this time: %s", error)

    async def trim(self) -> int:
        """Trim once; returns the sequence up to which the journal is no longer needed."""
        context = self._context
        entry = await context.database.state.get(watermark_key(context.settings.tenant))
        if entry is None:
            return 0
        if entry.revision == self._seen[0] and self._skipped < self._skip:
            self._skipped += 1
            return self._seen[1]
        limit = await self._trim(int(entry.value))
        unchanged = (entry.revision, limit) == self._seen
        self._skip = min(2 * self._skip + 1, MOST_SKIPPED) if unchanged else 0
        self._seen, self._skipped = (entry.revision, limit), 0
        return limit

    async def _trim(self, archived: int) -> int:
        context = self._context
        needed = {
            number: await self._kept_from(number)
            for number in await context.stream.journal.partitions()
        }
        for number, sequence in needed.items():
            if sequence + LAG < archived:
                await self._ask_for_marker(number)
        limit = min([archived, *needed.values()])
        if limit >= await context.stream.journal.first_seq():
            await context.stream.journal.trim(limit)
        return limit

    async def _kept_from(self, number: int) -> int:
        tenant = token(self._context.settings.tenant)
        entry = await self._context.database.state.get(f"{tenant}.{number}.checkpoint")
        if entry is None:
            return 0
        checkpoint = msgspec.msgpack.decode(entry.value, type=Checkpoint)
        heard = (checkpoint.bus or {}).get("journal") or {}
        floor: int = heard.get("floor", checkpoint.seq)
        return min(checkpoint.seq, checkpoint.released_through, floor)

    async def _ask_for_marker(self, number: int) -> None:
        subject = ask_subject(self._context.settings.tenant, number)
        await self._context.stream.requests.request(
            subject, msgspec.json.encode(Mark()), timeout=MARK_TIMEOUT
        )
