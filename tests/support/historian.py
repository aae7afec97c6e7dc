"""A historian on the memory backend, with a real writer process and real files."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from flunq.client.archive import Archive
from flunq.client.refusals import value_of
from flunq.log.memory import MemoryBroker, MemoryDatabase, MemoryEventStream
from flunq.log.ports import NoResponderError
from flunq.log.select import StreamSettings
from flunq.services.historian.historian import Historian
from flunq.services.historian.settings import HistorianSettings, Pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from flunq.log.ports import Database, EventStream, Journal

PACE = Pace(flush_seconds=0.05, quiet_seconds=0.05, house_seconds=0.05, retry_seconds=0.05)
NEVER = Pace(flush_seconds=3600, quiet_seconds=3600, house_seconds=3600, retry_seconds=0.05)


class Archives:
    """One broker, and historians that come and go."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder
        self.folder = folder / "history" / "default"
        self.broker = MemoryBroker()
        settings = StreamSettings(name="test")
        self.stream: EventStream = MemoryEventStream(settings, self.broker)
        self.store: Database = MemoryDatabase(settings, self.broker)

    @property
    def journal(self) -> Journal:
        return self.stream.journal

    @property
    def archive(self) -> Archive:
        async def ask(subject: str, question: Any) -> bytes:
            body = msgspec.json.encode(question)
            reply = await self._reply(subject, body)
            return bytes(value_of(reply))

        return Archive(ask, "default")

    async def _reply(self, subject: str, body: bytes) -> bytes:
        while True:
            try:
                return await self.stream.requests.request(subject, body, timeout=30.0)
            except NoResponderError:
                await asyncio.sleep(0.01)

    def historian(
        self, pace: Pace = PACE, *, data_dir: Path | None = None, keep_retired: float = 300.0
    ) -> Historian:
        settings = HistorianSettings(
            data_dir=str(data_dir or self.data_dir),
            pace=pace,
            keep_retired=keep_retired,
            renew_seconds=0.05,
        )
        return Historian(settings, self.stream, self.store)

    @asynccontextmanager
    async def running(
        self, pace: Pace = PACE, *, data_dir: Path | None = None, keep_retired: float = 300.0
    ) -> AsyncIterator[Historian]:
        """Run a historian; at the end it is stopped as a crash would, without a word."""
        historian = self.historian(pace, data_dir=data_dir, keep_retired=keep_retired)
        task = asyncio.create_task(historian.run(asyncio.Event()))
        try:
            yield historian
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def archives(folder: Path) -> AsyncIterator[Archives]:
    """Connect to a broker of this test's own."""
    made = Archives(folder)
    async with made.stream, made.store:
        await made.stream.ensure(8)
        await made.store.ensure()
        yield made
