"""Follows the journal of a tenant and sends the spans that its events end.

The position is noted after each batch, so another process goes on where this one was. While the
collector takes nothing the journal is not read on: it keeps what is to be told.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from flunq.core.events import decode_batch_lazily
from flunq.core.execution.fold import RESTORING
from flunq.core.ids import token
from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError, StoreFullError
from flunq.services.worker.claims import check_out
from flunq.telemetry.spans import SpanMaker, UnknownExecutionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.core.events import LazyEvent
    from flunq.log.ports import Database, Journal, Record
    from flunq.services.tracing.exporter import Exporter
    from flunq.telemetry.spans import Span

    History = Callable[[str], AsyncIterator[LazyEvent]]

log = logging.getLogger(__name__)

BATCH = 512
MOST_PENDING = 4 * BATCH
PAUSE = 1.0
"""How long spans are collected before they are sent."""
LEAVE_SECONDS = 2.0
QUIET_RECORDS = 1_000
"""So many records without a span are worth a note of the position."""
YOUNG = 100
"""Records of a journal that has only just begun."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far the journal was told, and which journal that was."""

    after: int
    created: str


class Tracer:
    """The traces of one tenant; ``history`` returns all events of an execution."""

    def __init__(
        self,
        tenant: str,
        journal: Journal,
        store: Database,
        exporter: Exporter,
        history: History,
        *,
        pause: float = PAUSE,
    ) -> None:
        self._journal = journal
        self._state = store.state
        self._blobs = store.blobs
        self._exporter = exporter
        self._history = history
        self._pause = pause
        self._key = f"{token(tenant)}.traces"
        self._maker = SpanMaker(tenant)
        self._created = ""
        self._spans: list[Span] = []
        self._read = 0
        """Everything up to here is told or among the spans that wait."""
        self._told = 0
        self._flushing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def run(self) -> None:
        """Work until cancelled, or until the journal is lost."""
        self._read = self._told = await self._place()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._send())
        finally:
            await self._leave()

    async def _place(self) -> int:
        """Return where to go on: the first time with what comes from now on.

        A cluster that has only just begun may have been faster: nothing of it is left out.
        """
        extent = await self._journal.extent()
        self._created = extent.created
        entry = await self._state.get(self._key)
        if entry is None:
            after = 0 if extent.first <= 1 and extent.last < YOUNG else extent.last
            await self._note(after)
            return after
        place = msgspec.json.decode(entry.value, type=Place)
        return place.after if place.created == extent.created else 0

    async def _follow(self) -> None:
        async with aclosing(self._journal.follow(after=self._read)) as records:  # type: ignore[type-var]
            async for record in records:
                await self._room.wait()
                self._spans += await self._spans_of(record)
                self._read = record.seq
                if len(self._spans) >= MOST_PENDING:
                    self._room.clear()
                if self._spans or self._read - self._told >= QUIET_RECORDS:
                    self._news.set()

    async def _spans_of(self, record: Record) -> list[Span]:
        found: list[Span] = []
        for event in decode_batch_lazily(record.data):
            try:
                found += self._maker.take(await self._whole(event))
            except UnknownExecutionError:
                await self._remember(event)
                found += self._maker.take(await self._whole(event))
        return found

    async def _whole(self, event: LazyEvent) -> LazyEvent:
        """Return an event with what the spans need of it; a state may lie elsewhere."""
        if event.type not in RESTORING:
            return event
        try:
            data = await check_out(event.value(), self._blobs)
        except LookupError:
            return event
        return msgspec.structs.replace(event, data=msgspec.Raw(msgspec.json.encode(data)))

    async def _remember(self, event: LazyEvent) -> None:
        """Read what happened to an execution before an event; its spans were sent already."""
        try:
            async for past in self._history(event.subject):
                if past.seq >= event.seq:
                    break
                self._maker.take(past)
        except (FlunqError, UnknownExecutionError, OutcomeUnknownError) as error:
            log.warning("the trace of %s lacks its beginning: %s", event.subject, error)
            self._maker.pass_over(event.subject)
            return
        if not self._maker.knows(event.subject):
            self._maker.pass_over(event.subject)

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            if len(self._spans) < BATCH:
                await asyncio.sleep(self._pause)
            self._news.clear()
            # What is under way is not sent once more because it is time to end.
            self._flushing = asyncio.create_task(self._flush())
            await asyncio.shield(self._flushing)

    async def _flush(self) -> None:
        """Send what waits, then note that it was sent."""
        upto = self._read
        while self._spans:
            batch = self._spans[:BATCH]
            await self._exporter.send(batch)
            del self._spans[: len(batch)]
        self._room.set()
        await self._note(upto)

    async def _note(self, upto: int) -> None:
        body = msgspec.json.encode(Place(after=upto, created=self._created))
        try:
            await self._state.put(self._key, body)
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("what was sent will be sent again after a crash: %s", error)
            return
        self._told = upto

    async def _leave(self) -> None:
        """Send what is at hand, if that is quickly done."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                if self._flushing is not None:
                    await self._flushing
                if self._read > self._told:
                    await self._flush()
        except (TimeoutError, OutcomeUnknownError, OSError):
            log.info("the spans that wait are sent by the next process")
