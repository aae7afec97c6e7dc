"""Reads the journal while it grows: what is trimmed later has been seen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from flunq.log.ports import NoResponderError, RequestTimeoutError, TransportLostError
from flunq.log.select import event_stream
from flunq.testing.invariants import Archive

if TYPE_CHECKING:
    from flunq.log.ports import EventStream, Record
    from flunq.log.select import StreamSettings

_AGAIN = 0.5


class JournalWatch:
    """Everything that the journal held since the watch began."""

    def __init__(self, settings: StreamSettings) -> None:
        self._stream: EventStream = event_stream(settings)
        self._records: dict[int, Record] = {}
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._following is not None
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._stream.__aexit__(None, None, None)

    async def archive(self) -> Archive:
        """Read what is still missing and return all of it, folded."""
        for partition in await self._stream.journal.partitions():
            seen = [r.seq for r in self._records.values() if r.partition == partition]
            after = max(seen, default=0)
            async for record in self._stream.journal.read(partition, after=after, upto=2**62):
                self._records[record.seq] = record
        records = [self._records[seq] for seq in sorted(self._records)]
        return Archive(records, _StandIns())

    @property
    def commits(self) -> int:
        """How many commits were seen."""
        return len(self._records)

    async def _follow(self) -> None:
        while True:
            after = max(self._records, default=0)
            try:
                async for record in self._stream.journal.follow(after=after):
                    self._records[record.seq] = record
            except (NoResponderError, RequestTimeoutError, TransportLostError):
                await asyncio.sleep(_AGAIN)


class _StandIns(dict[str, bytes]):
    """Answers any reference with nothing: no promise that is checked is about large values."""

    def get(self, key: str, default: object = None) -> bytes:
        """Return an empty value."""
        return b"null"
