"""A cluster that exists only as its answers: any number of executions, any stream of events."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import msgspec

from flunq.bench.recorded import Pattern, commits
from flunq.client.feed import Feed
from flunq.core.events import join_batch
from flunq.core.protocol import ClusterInfo, Commits, Page, Summary
from flunq.services.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from flunq.client import Client
    from flunq.core.events import LazyEvent
    from flunq.log.ports import Requests

_STATUSES = ("completed", "completed", "running", "faulted", "waiting")
_SPACING = 1_000
_SHARE = 0.01
"""Seconds between two pushes of a steady stream."""
_AHEAD = 20_000
"""Events that wait to be taken before a pump pauses."""
_decode = msgspec.json.Decoder(list[Summary]).decode


class Crowd:
    """Answers like a client, so that what is measured is the monitor and nothing else."""

    def __init__(self, executions: int, history: Sequence[LazyEvent]) -> None:
        self.executions = executions
        self._now = SystemClock().now()
        self._rows = [self._row(number) for number in range(executions)]
        self._heads, self._bodies = _records(history, self._now)
        self._number = 0
        self._receive: Callable[[bytes], None] = _unheard
        self._pushed = self._taken = 0
        self.heard = False
        """Whether somebody listens to the stream."""

    def name(self, number: int) -> str:
        """Return the id of an execution; number 0 is the newest."""
        return f"run-{number:08d}"

    def _row(self, number: int) -> bytes:
        summary = Summary(
            id=self.name(number),
            namespace="shop",
            workflow=("order", "refund", "transfer")[number % 3],
            version="1.0.0",
            status=_STATUSES[number % len(_STATUSES)],
            started_at=self._now - number * _SPACING,
            tags={"region": "eu"},
        )
        return msgspec.json.encode(summary)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """Connect, which takes no time."""
        yield cast("Client", self)

    # -- what a client is asked --------------------------------------------------------------------

    async def info(self) -> ClusterInfo:
        """Return what a client must know."""
        return ClusterInfo(tenant="default", partitions=1, node="bench", version="0")

    async def list(
        self, *, limit: int, before: tuple[int, str] | None = None, **_: object
    ) -> list[Summary]:
        """Return a page, decoded like one that came through the network."""
        first = 0 if before is None else int(before[1][4:]) + 1
        return _decode(b"[" + b",".join(self._rows[first : first + limit]) + b"]")

    async def events(self, *, archived: bool = True) -> AsyncIterator[LazyEvent]:
        """Yield what is pumped, read by the feed of the real client."""
        async with Feed(
            cast("Requests", self), "bench", [0], self._page, archived=archived
        ) as feed:
            async for event in feed:
                self._taken += 1
                yield event

    async def ask_owner(self, number: int, question: Commits) -> Page:
        """Return that there is nothing to fill."""
        return await self._page(number, question)

    async def _page(self, number: int, question: Commits) -> Page:
        return Page(items=[], cursor=0)

    @asynccontextmanager
    async def listen(self, subject: str, receive: Callable[[bytes], None]) -> AsyncIterator[None]:
        """Hand on what is pumped."""
        self._receive, self.heard = receive, True
        yield

    # -- the stream --------------------------------------------------------------------------------

    async def pump(self, events: int) -> int:
        """Push at least so many events, as fast as they are taken; returns how many."""
        end = self._pushed + events
        began = self._pushed
        while self._pushed < end:
            self._push()
            await self._taken_but(_AHEAD)
        await self._taken_but(0)
        return self._pushed - began

    async def _taken_but(self, most: int) -> None:
        """Return once no more events than these wait to be taken."""
        while self._pushed - self._taken > most:  # noqa: ASYNC110 - counted for each event
            await asyncio.sleep(0)

    async def stream(self, per_second: int) -> None:
        """Push a steady stream, for ever."""
        loop = asyncio.get_running_loop()
        began, before = loop.time(), self._pushed
        while True:
            due = before + (loop.time() - began) * per_second
            while self._pushed < due:
                self._push()
            await asyncio.sleep(_SHARE)

    def _push(self) -> None:
        body, events = self._bodies[self._number % len(self._bodies)]
        self._number += 1
        head = self._heads[0] + str(self._number).encode() + self._heads[1]
        self._receive(b"[" + head + b"," + body)
        self._pushed += events


def _unheard(body: bytes) -> None:
    """Nobody listens yet."""


def _records(
    history: Sequence[LazyEvent], now: int
) -> tuple[tuple[bytes, bytes], list[tuple[bytes, int]]]:
    """Return the head of a commit around its number, and bodies with their number of events."""
    pattern = Pattern(history[0].subject, history)
    made = commits([pattern], 2_000, tenant="default", partition=0, until=now)
    bodies, heads = [], []
    for record, events in made:
        head, *rest = msgspec.json.decode(record, type=list[msgspec.Raw])
        heads.append(bytes(head))
        bodies.append((join_batch(map(bytes, rest))[1:], events))
    before, _, after = heads[0].partition(b'"number":1,')
    return (before + b'"number":', b"," + after), bodies
