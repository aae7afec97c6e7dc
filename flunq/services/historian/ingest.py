"""From the journal into files: follow, hand over, flush by size or age, say how far it is.

The position is the manifest's ``through``. A crash loses only work: what was not in a manifest is
read from the journal again, and files that no manifest names are swept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.trimming import watermark_key
from flunq.store.lake import LakeFile
from flunq.store.writing import Flush

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.log.ports import Journal, KeyValue, Record
    from flunq.services.historian.settings import Pace
    from flunq.services.historian.writer import Writer

log = logging.getLogger(__name__)

HANDOVER_BYTES = 1 << 20
"""So much is collected before the writer gets it."""
MOST_PENDING = 4 << 20
"""So much may wait here; then the journal is not read on."""


class Ingest:
    """Brings records after a position into files; ``publish`` makes them count."""

    def __init__(
        self,
        journal: Journal,
        writer: Writer,
        pace: Pace,
        *,
        after: int,
        publish: Callable[[list[LakeFile], int], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._writer = writer
        self._pace = pace
        self._publish = publish
        self.through = after
        """Everything up to here is in files."""
        self.read = after
        """Everything up to here was read."""
        self._pending: list[Record] = []
        self._pending_bytes = 0
        self._spooled_bytes = 0
        self._spooled = 0
        self._since: float | None = None
        """When the oldest record that is in no file came in, by the loop's clock."""
        self.oldest: float | None = None
        """The time of that record."""
        self._by_size = False
        self._wanted = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.flushed = asyncio.Event()
        """Set whenever ``through`` has grown."""

    @property
    def _size(self) -> int:
        """Bytes of journal that are in no file."""
        return self._spooled_bytes + self._pending_bytes

    @property
    def busy(self) -> bool:
        """Whether so much comes in that files are made by size."""
        return self._by_size and self.oldest is not None

    def flush_soon(self, upto: int) -> None:
        """Flush as soon as everything up to a sequence was read, whatever the pace says."""
        self._wanted = max(self._wanted, upto)
        self._changed.set()

    async def run(self) -> None:
        """Work until cancelled, or until the journal or the writer fails."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                group.create_task(self._work())
        finally:
            await self._writer.stop()

    # -- reading ---------------------------------------------------------------------------------

    async def _read(self) -> None:
        async for record in self._journal.follow(after=self.read):
            await self._room.wait()
            self._take(record)

    def _take(self, record: Record) -> None:
        if record.seq != self.read + 1:
            log.warning("the journal has no records from %s to %s", self.read + 1, record.seq - 1)
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
            self.oldest = record.time
            self._changed.set()
        little = self._size <= self._pace.little_bytes
        self._pending.append(record)
        self._pending_bytes += len(record.data)
        self.read = record.seq
        if little and self._size > self._pace.little_bytes:
            self._changed.set()  # it is due earlier now
        if self._pending_bytes > MOST_PENDING:
            self._room.clear()
        if self._pending_bytes > HANDOVER_BYTES or self._is_asked():
            self._changed.set()

    # -- writing ---------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            try:
                async with asyncio.timeout_at(self._due()):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            if self._is_due():
                await self._flush()
            elif self._pending_bytes > HANDOVER_BYTES:
                await self._hand_over()
                if self._is_due():
                    await self._flush()

    def _due(self) -> float | None:
        """Return when to flush at the latest."""
        if self._since is None:
            return None
        little = self._size <= self._pace.little_bytes
        return self._since + (self._pace.quiet_seconds if little else self._pace.flush_seconds)

    def _is_due(self) -> bool:
        due = self._due()
        if due is None:
            return False
        return (
            self._size >= self._pace.flush_bytes
            or self._is_asked()
            or asyncio.get_running_loop().time() >= due
        )

    def _is_asked(self) -> bool:
        return self.through < self._wanted <= self.read

    async def _hand_over(self) -> None:
        records, self._pending = self._pending, []
        self._spooled_bytes += self._pending_bytes
        self._spooled += len(records)
        self._pending_bytes = 0
        self._room.set()
        await self._writer.send(records)

    async def _flush(self) -> None:
        """Make files of everything that was read, then let them count."""
        upto = self.read
        self._since = None
        if self._pending:
            await self._hand_over()
        self._by_size = self._size >= self._pace.flush_bytes
        crash_point("before-flush")
        files = await self._writer.order(Flush(records=self._spooled), list[LakeFile])
        crash_point("after-flush")
        self._spooled_bytes = self._spooled = 0
        await self._publish(files, upto)
        self.through = upto
        self.oldest = self._pending[0].time if self._pending else None
        self.flushed.set()
        self.flushed.clear()


async def put_watermark(state: KeyValue, tenant: str, through: int) -> None:
    """Say up to which sequence the archive holds everything, so that the journal may forget it."""
    await state.put(watermark_key(tenant), str(through).encode())


def age(oldest: float | None) -> float:
    """Return how many seconds ago a record was stored."""
    return 0.0 if oldest is None else max(0.0, time.time() - oldest)
