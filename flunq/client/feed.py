"""Every event of a tenant as it is committed: pushed, and asked for where the push has gaps.

The broker repeats each commit at most once. A commit begins with its own event, whose ``number``
counts the partition's commits, so a lost one shows; it is then asked for by journal position.
What the journal has forgotten meanwhile is in the archive; if that does not answer, an event of
type ``io.flunq.feed.gap`` says how much is missing.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from flunq.core.events import COMMIT, ENGINE, FENCE, LazyEvent, decode_batch_lazily
from flunq.core.protocol import Commits, Page
from flunq.errors import FlunqError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from flunq.client.sql import Place
    from flunq.log.ports import Requests

    AskPage = Callable[[int, Commits], Awaitable[Page]]

T = TypeVar("T")
QUIET_SECONDS = 2.0
"""After this long without a commit a partition is asked: the last push may have been lost."""
KEPT = 4096
"""Commits that may wait for a slow reader; what is dropped is asked for again."""
ARCHIVE_TRIES = 5
"""So often the archive is asked before a gap is left open: it may be starting again."""
ARCHIVE_PAUSE = 1.0
GAP = f"{ENGINE}feed.gap"
_COMMITS = frozenset({COMMIT, FENCE})
_END = 1 << 53


class _Head(msgspec.Struct, frozen=True):
    """What the feed needs of a commit's own event."""

    number: int = 0
    released: int = msgspec.field(default=0, name="releasedThrough")


_head = msgspec.json.Decoder(_Head).decode


class _Position:
    """How far one partition was read."""

    __slots__ = ("after", "last_event", "last_heard", "number", "unsure")

    def __init__(self) -> None:
        self.number = 0
        """Number of the last commit that was handed on or needs not be; 0 when unknown."""
        self.after = 0
        """A journal position at or before that commit; 0 when none is known."""
        self.last_event = ""
        """Id of the last event that was handed on."""
        self.last_heard = 0.0
        self.unsure = False
        """Nobody has said yet what came after that position."""

    def misses(self, head: _Head) -> int:
        """Return how many commits were not seen before this one."""
        return max(0, head.number - self.number - 1) if self.number else 0


class Feed:
    """The events of partitions from now on. Use it with ``async with`` and ``async for``."""

    def __init__(
        self,
        requests: Requests,
        subject: str,
        partitions: Iterable[int],
        ask: AskPage,
        *,
        archived: bool = True,
    ) -> None:
        self._ask = ask
        self._archived = archived
        self._requests = requests
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(KEPT)
        self._positions = {number: _Position() for number in partitions}
        self._listening = requests.listen(subject, self._receive)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._listening)
        await asyncio.gather(*(self._find_end(number) for number in self._positions))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def anchor(self, partition: int, cursor: int) -> None:
        """Note that everything up to a journal position was read otherwise."""
        position = self._positions[partition]
        if cursor > position.after:
            position.after, position.number, position.unsure = cursor, 0, True

    def _receive(self, body: bytes) -> None:
        if not self._queue.full():
            self._queue.put_nowait(body)

    async def __aiter__(self) -> AsyncIterator[LazyEvent]:
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    body = await self._queue.get()
            except TimeoutError:
                pass
            else:
                async for event in self._take(body):
                    yield event
            async for event in self._ask_the_quiet():
                yield event

    async def _take(self, body: bytes) -> AsyncIterator[LazyEvent]:
        batch = decode_batch_lazily(body)
        position = self._positions.get(batch[0].partition)
        if position is None:
            for event in batch:
                if event.type not in _COMMITS:  # what is in no journal, such as an alert
                    yield event
            return
        head = _head(batch[0].data)
        if position.misses(head) or (position.after and not position.number):
            async for event in self._fill(batch[0].partition, position):
                yield event
        # Where nobody answered, all of it is asked for later.
        if not (position.misses(head) or position.unsure):
            for event in self._new(position, head, batch):
                yield event

    async def _ask_the_quiet(self) -> AsyncIterator[LazyEvent]:
        now = asyncio.get_running_loop().time()
        for number, position in self._positions.items():
            if position.after and position.last_heard + QUIET_SECONDS < now:
                async for event in self._fill(number, position):
                    yield event

    async def _fill(self, partition: int, position: _Position) -> AsyncIterator[LazyEvent]:
        """Ask for what came after the last commit that is known."""
        position.last_heard = asyncio.get_running_loop().time()
        while True:
            try:
                if position.after and not position.number:
                    await self._find_number(partition, position)
                page = await self._ask(partition, Commits(after=position.after, upto=_END))
            except UnavailableError:
                return  # between two owners; asked again when it is quiet
            for raw, seq in zip(page.items, page.seqs, strict=True):
                async for event in self._read(position, decode_batch_lazily(bytes(raw)), seq):
                    yield event
            position.after = max(position.after, page.cursor)
            if not page.more:
                position.unsure = False
                return

    async def _read(
        self, position: _Position, batch: Sequence[LazyEvent], seq: int
    ) -> AsyncIterator[LazyEvent]:
        """Hand on a commit of the journal, and before it what the journal has forgotten."""
        head = _head(batch[0].data)
        if position.misses(head):
            if self._archived:
                async for event in self._forgotten(position, batch[0], seq):
                    yield event
            else:
                yield _gap(batch[0], position.misses(head), "they are in the archive")
            position.number = head.number - 1
        for event in self._new(position, head, batch):
            yield event
        position.after = max(position.after, seq)

    async def _forgotten(
        self, position: _Position, own: LazyEvent, before: int
    ) -> AsyncIterator[LazyEvent]:
        """Yield the archived events between the last one and a commit, or say that they are lost.

        The position may lie before the last event: what comes up to that was handed on.
        """
        from flunq.client.sql import Forgotten

        archive = Forgotten(self._requests, own.tenant, own.partition)
        try:
            place: Place | None
            place = await _insistently(archive.place, position.last_event, position.after)
            while place is not None:
                found, place = await _insistently(archive.events, place, before)
                for event in found:
                    position.last_event = event.id
                    yield event
        except FlunqError as error:
            yield _gap(own, position.misses(_head(own.data)), str(error))

    def _new(
        self, position: _Position, head: _Head, batch: Sequence[LazyEvent]
    ) -> Iterable[LazyEvent]:
        """Return a commit's events unless they were handed on before."""
        position.last_heard = asyncio.get_running_loop().time()
        if position.number and head.number <= position.number:
            return ()
        position.number = head.number
        position.after = max(position.after, head.released)
        if len(batch) > 1:
            position.last_event = batch[-1].id
        return batch[1:]

    async def _find_end(self, partition: int) -> None:
        """Find out where the partition ends now, and the number of its last commit."""
        page = await self._ask(partition, Commits(after=_END, upto=_END))
        position = self._positions[partition]
        position.last_heard = asyncio.get_running_loop().time()
        if page.cursor in (0, _END):
            return
        position.after = page.cursor
        await self._find_number(partition, position)

    async def _find_number(self, partition: int, position: _Position) -> None:
        """Find out which commit it is that a partition was read up to, if it is still there."""
        place = Commits(after=position.after - 1, upto=position.after)
        for raw in (await self._ask(partition, place)).items:
            batch = decode_batch_lazily(bytes(raw))
            position.number = _head(batch[0].data).number
            position.last_event = batch[-1].id


async def _insistently(read: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    for _ in range(ARCHIVE_TRIES - 1):
        try:
            return await read(*arguments)
        except UnavailableError:
            await asyncio.sleep(ARCHIVE_PAUSE)
    return await read(*arguments)


def _gap(own: LazyEvent, commits: int, why: str) -> LazyEvent:
    """Return the event that stands for commits that nobody has."""
    reason = f"missing commits: {commits}; {why}"
    data = {"partition": own.partition, "commits": commits, "reason": reason}
    return LazyEvent(
        id=f"{own.id}:gap",
        source=own.source,
        type=GAP,
        time=own.time,
        subject=f"partition-{own.partition}",
        tenant=own.tenant,
        partition=own.partition,
        data=msgspec.Raw(msgspec.json.encode(data)),
    )
