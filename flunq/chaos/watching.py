"""Reads the journal while it grows: what is trimmed later has been seen."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from flunq.chaos import checking
from flunq.core.events import TERMINAL_TYPES, WORKFLOW_STARTED, decode_batch_lazily
from flunq.log.ports import (
    NoResponderError,
    OutcomeUnknownError,
    RequestTimeoutError,
    TransportLostError,
)
from flunq.log.select import event_stream
from flunq.testing.invariants import Archive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flunq.log.ports import EventStream, Record
    from flunq.log.select import StreamSettings

_AGAIN = 0.5
_UNANSWERED = (NoResponderError, OutcomeUnknownError, RequestTimeoutError, TransportLostError)


class JournalWatch(ABC):
    """Sees everything that the journal holds from the moment when the watch begins."""

    def __init__(self, settings: StreamSettings, *, pause: float = _AGAIN) -> None:
        self._stream: EventStream = event_stream(settings)
        self._pause = pause
        self._following: asyncio.Task[None] | None = None
        self._newest: defaultdict[int, int] = defaultdict(int)
        self._first = 1
        self.commits = 0
        """How many commits were seen."""
        self.missed = 0
        """How many were trimmed before they were seen; known once :meth:`finish` has ended."""
        self.events = 0

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        self._first = (await self._stream.journal.extent()).first
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stop_following()
        await self._stream.__aexit__(None, None, None)

    async def finish(self) -> None:
        """Read what is still missing; nothing that comes later is seen."""
        following = await self._stop_following()
        if isinstance(following, Exception):
            raise following
        last = (await self._stream.journal.extent()).last
        await self._catch_up(upto=last)
        # The broker numbers the commits of all partitions in one row.
        self.missed = last - self._first + 1 - self.commits

    def verdict(self, acknowledged: Collection[str]) -> Iterator[str]:
        """Yield what was broken; who has not seen everything cannot tell what is missing."""
        if self.missed:
            yield (
                f"unseen: {self.missed} commits were trimmed before they were read; "
                "this run proves nothing, repeat it"
            )
        else:
            yield from self.check(acknowledged)

    @abstractmethod
    def take(self, record: Record) -> None:
        """Take the next commit of a partition."""

    @abstractmethod
    def check(self, acknowledged: Collection[str]) -> Iterator[str]:
        """Yield what was broken, each with the promise in front."""

    async def _stop_following(self) -> BaseException | None:
        """Return why it had ended before, if it had."""
        assert self._following is not None
        self._following.cancel()
        (ended,) = await asyncio.gather(self._following, return_exceptions=True)
        return ended

    async def _follow(self) -> None:
        """Read page by page: a consumer might stall until what it missed has been trimmed."""
        while True:
            with suppress(*_UNANSWERED):
                await self._catch_up()
            await asyncio.sleep(self._pause)

    async def _catch_up(self, *, upto: int = 2**62) -> None:
        for partition in await self._stream.journal.partitions():
            after = self._newest[partition]
            async for record in self._stream.journal.read(partition, after=after, upto=upto):
                self._see(record)

    def _see(self, record: Record) -> None:
        if record.seq > self._newest[record.partition]:
            self._newest[record.partition] = record.seq
            self.commits += 1
            self.take(record)


class ArchiveWatch(JournalWatch):
    """Keeps all of it, so that every promise can be checked."""

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings)
        self._records: list[Record] = []
        self.archive = Archive([], {})
        """What was seen, folded; complete once :meth:`finish` has ended."""

    def take(self, record: Record) -> None:
        """Keep a commit."""
        self._records.append(record)

    async def finish(self) -> None:
        """Read what is still missing and fold all of it."""
        await super().finish()
        records = sorted(self._records, key=lambda record: record.seq)
        self.archive = Archive(records, _StandIns())
        self.events = sum(len(story.events) for story in self.archive.stories.values())

    def check(self, acknowledged: Collection[str]) -> Iterator[str]:
        """Check all promises."""
        return checking.check(self.archive, acknowledged)


class TallyWatch(JournalWatch):
    """Counts begins and ends alone: the memory that this takes does not depend on events."""

    def __init__(self, settings: StreamSettings, *, pause: float = _AGAIN) -> None:
        super().__init__(settings, pause=pause)
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self._progress = asyncio.Event()

    def take(self, record: Record) -> None:
        """Count what a commit begins and ends."""
        events = decode_batch_lazily(record.data)[1:]
        self.events += len(events)
        self.begun.update(e.subject for e in events if e.type == WORKFLOW_STARTED)
        self.ended.update(e.subject for e in events if e.type in TERMINAL_TYPES)
        self._progress.set()

    async def until_ended(self, count: int) -> None:
        """Return once so many executions have ended."""
        while len(self.ended) < count:
            self._progress.clear()
            await self._progress.wait()

    def check(self, acknowledged: Collection[str]) -> Iterator[str]:
        """Check that each acknowledged start began once and ended once."""
        for execution in acknowledged:
            for what, times in (("begun", self.begun[execution]), ("ended", self.ended[execution])):
                if times == 0:
                    yield f"lost: {execution} has not {what}"
                if times > 1:
                    yield f"doubled: {execution} has {what} {times} times"


class _StandIns(dict[str, bytes]):
    """Answers any reference with nothing: no promise that is checked is about large values."""

    def get(self, key: str, default: object = None) -> bytes:
        """Return an empty value."""
        return b"null"
