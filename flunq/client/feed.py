"""Every event of a tenant as it is committed: pushed, and asked for where the push has gaps.

The broker repeats each commit at most once. A commit begins with its own event, whose ``number``
counts the partition's commits, so a lost one shows; it is then asked for by journal position.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

import msgspec

from flunq.core.events import LazyEvent, decode_batch_lazily
from flunq.core.protocol import Commits, Page
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from flunq.log.ports import Requests

    AskPage = Callable[[int, Commits], Awaitable[Page]]

QUIET_SECONDS = 2.0
"""After this long without a commit a partition is asked: the last push may have been lost."""
KEPT = 4096
"""Commits that may wait for a slow reader; what is dropped is asked for again."""
_END = 1 << 53


class _Head(msgspec.Struct, frozen=True):
    """What the feed needs of a commit's own event."""

    number: int = 0
    released: int = msgspec.field(default=0, name="releasedThrough")


_head = msgspec.json.Decoder(_Head).decode


class _Position:
    """How far one partition was read."""

    __slots__ = ("after", "last_heard", "number")

    def __init__(self) -> None:
        self.number = 0
        """Number of the last commit that was handed on; 0 when none was."""
        self.after = 0
        """A journal position at or before that commit; 0 when none is known."""
        self.last_heard = 0.0


class Feed:
    """The events of partitions from now on. Use it with ``async with`` and ``async for``."""

    def __init__(
        self, requests: Requests, subject: str, partitions: Iterable[int], ask: AskPage
    ) -> None:
        self._ask = ask
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
        position.after = max(position.after, cursor)

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
            return
        head = _head(batch[0].data)
        if position.number and head.number > position.number + 1:
            async for event in self._fill(batch[0].partition, position):
                yield event
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
                page = await self._ask(partition, Commits(after=position.after, upto=_END))
            except UnavailableError:
                return  # between two owners; asked again when it is quiet
            for raw in page.items:
                batch = decode_batch_lazily(bytes(raw))
                for event in self._new(position, _head(batch[0].data), batch):
                    yield event
            position.after = max(position.after, page.cursor)
            if not page.more:
                return

    def _new(
        self, position: _Position, head: _Head, batch: Sequence[LazyEvent]
    ) -> Iterable[LazyEvent]:
        """Return a commit's events unless they were handed on before."""
        position.last_heard = asyncio.get_running_loop().time()
        if position.number and head.number <= position.number:
            return ()
        position.number = head.number
        position.after = max(position.after, head.released)
        return batch[1:]

    async def _find_end(self, partition: int) -> None:
        """Find out where the partition ends now."""
        page = await self._ask(partition, Commits(after=_END, upto=_END))
        position = self._positions[partition]
        if page.cursor < _END:
            position.after = page.cursor
        position.last_heard = asyncio.get_running_loop().time()
