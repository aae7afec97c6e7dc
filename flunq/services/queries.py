"""Answers queries of clients that do not have the archive on their machine.

The query runs in the same sandbox as everywhere. Its rows are handed out page by page; a client
that does not come back for more loses its query after a while.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client import Client
from flunq.client.sql import gather
from flunq.errors import (
    ConflictError,
    NotFoundError,
    RejectedError,
    WaitTimeoutError,
)
from flunq.log.select import StreamSettings, event_stream
from flunq.services.answering import answered
from flunq.services.lasting import heard, while_connected
from flunq.store.lake import lake_folder
from flunq.store.query import QueryProcess
from flunq.store.query_job import (
    Chunk,
    CloseQuery,
    Done,
    Job,
    Limits,
    OpenQuery,
    QueryPage,
    QueryRequest,
    Refused,
    sql_subject,
)
from flunq.store.tail import collect_tail, scratch_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.store.query_job import Reply

_log = logging.getLogger(__name__)
AT_ONCE = 4
"""Queries that may be open: each has a process."""
IDLE_SECONDS = 30.0
PAGE_BYTES = 512 * 1024
LARGEST = Limits()
"""What a query from elsewhere may use at most."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(QueryRequest).decode


class OpenAnswer:
    """One running query, and the page that was sent last."""

    def __init__(self, id: str, replies: AsyncIterator[Reply], stack: AsyncExitStack) -> None:
        self.id = id
        self.number = 0
        self.ended = False
        self._touched = monotonic()
        self._replies = replies
        self._stack = stack
        self._left: list[list[Any]] = []
        self._page = QueryPage(id=self.id)
        self._turn = asyncio.Lock()

    async def page(self, number: int) -> QueryPage:
        """Return a page: the next, or once more the last."""
        async with self._turn:
            if number == self.number + 1:
                replies = await self._next()
                self._page = QueryPage(id=self.id, replies=replies)
                self.number = number
            elif number != self.number:
                raise ConflictError(f"page {number} does not follow page {self.number}")
            self._touched = monotonic()
            return self._page

    def was_left(self, before: float) -> bool:
        """Tell whether nobody has had a page since then, nor waits for one now."""
        return self._touched < before and not self._turn.locked()

    async def _next(self) -> list[Reply]:
        replies: list[Reply] = []
        size = 0
        while size < PAGE_BYTES and not self.ended:
            reply = await self._reply()
            replies.append(reply)
            size += len(_encode(reply))
            self.ended = isinstance(reply, (Done, Refused))
        return replies

    async def _reply(self) -> Reply:
        """Return what the child says next; many large rows are several replies."""
        if not self._left:
            try:
                reply = await anext(self._replies)
            except RejectedError as error:
                return Refused(message=error.message, hint=error.hint)
            except WaitTimeoutError as error:
                return Refused(message=error.message, hint=error.hint, kind="timeout")
            if not isinstance(reply, Chunk):
                return reply
            self._left = reply.rows
        rows: list[list[Any]] = []
        size = 0
        while self._left and size < PAGE_BYTES // 2:
            size += len(_encode(self._left[0]))
            rows.append(self._left.pop(0))
        if size > PAGE_BYTES:
            return Refused(message="a row is too large for a reply", hint="select less of it")
        return Chunk(rows=rows)

    async def aclose(self) -> None:
        """End the query's process."""
        await self._stack.aclose()


class Queries:
    """Answers the queries of one tenant."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._open: dict[str, OpenAnswer] = {}
        self._beginning: dict[str, asyncio.Task[QueryPage]] = {}
        self._opening = 0

    async def answer(self, payload: bytes) -> bytes:
        """Answer one encoded request; never raises for what somebody asked."""
        return await answered(payload, _decode, self._page)

    async def _page(self, request: QueryRequest) -> QueryPage:
        if isinstance(request, OpenQuery):
            return await self._first_page(request)
        found = self._open.get(request.id)
        if isinstance(request, CloseQuery):
            if request.id in self._beginning:
                self._beginning[request.id].cancel()
            elif found is not None:
                await self._end(found)
            return QueryPage(id=request.id)
        if found is None:
            raise _over()
        return await self._page_of(found, request.number)

    async def _first_page(self, request: OpenQuery) -> QueryPage:
        """Return the first page, unless the query is closed before there is one."""
        id = request.id or secrets.token_hex(16)
        if id in self._beginning or id in self._open:
            raise ConflictError("a query of that id is open")
        beginning = self._beginning[id] = asyncio.create_task(self._begin_with_page(id, request))
        try:
            await asyncio.wait([beginning])
            if beginning.cancelled():
                raise _over()
            return beginning.result()
        finally:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)
            del self._beginning[id]

    async def _begin_with_page(self, id: str, request: OpenQuery) -> QueryPage:
        return await self._page_of(await self._begin(id, request), 1)

    async def _page_of(self, opened: OpenAnswer, number: int) -> QueryPage:
        async with AsyncExitStack() as unless_given:
            unless_given.push_async_callback(self._end, opened)
            page = await opened.page(number)
            unless_given.pop_all()
        return page

    async def _begin(self, id: str, request: OpenQuery) -> OpenAnswer:
        await self.sweep()
        if len(self._open) + self._opening >= AT_ONCE:
            raise ConflictError(f"{AT_ONCE} queries run already", hint="try again in a moment")
        self._opening += 1
        try:
            opened = await self._start(id, request)
        finally:
            self._opening -= 1
        self._open[opened.id] = opened
        return opened

    async def _start(self, id: str, request: OpenQuery) -> OpenAnswer:
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(QueryProcess())
            scratch = stack.enter_context(scratch_folder())
            tail = stack.enter_context(collect_tail(scratch))
            sources = await gather(self._client, self._folder, tail, request.question.sql)
            job = Job(sources=sources, question=request.question, limits=within(request.limits))
            return OpenAnswer(id, process.answer(job), stack.pop_all())

    async def sweep(self) -> None:
        """End the queries that nobody has asked about for long."""
        oldest = monotonic() - IDLE_SECONDS
        for each in [*self._open.values()]:
            if each.was_left(oldest):
                await self._end(each)

    async def _end(self, opened: OpenAnswer) -> None:
        self._open.pop(opened.id, None)
        await opened.aclose()

    async def aclose(self) -> None:
        """End all queries."""
        for each in [*self._open.values()]:
            await self._end(each)


def _over() -> NotFoundError:
    return NotFoundError("that query is over", hint="ask again")


def within(wanted: Limits) -> Limits:
    """Return the limits of a query from elsewhere: never more than this process's own."""
    return Limits(
        memory=min(wanted.memory, LARGEST.memory),
        seconds=min(wanted.seconds, LARGEST.seconds),
        threads=min(wanted.threads, LARGEST.threads),
    )


async def run_queries(connection: StreamSettings, data_dir: str, stop: asyncio.Event) -> None:
    """Answer until told to stop; raises ConnectionError when the connection is lost."""
    folder = lake_folder(data_dir, connection.tenant)
    stream = event_stream(connection)
    async with Client(stream, tenant=connection.tenant) as client:
        queries = Queries(client, folder)
        try:
            async with client.serving(sql_subject(connection.tenant), queries.answer):
                await while_connected(stream, _sweeping(queries, stop))
        finally:
            await queries.aclose()


async def _sweeping(queries: Queries, stop: asyncio.Event) -> None:
    ended = False
    while not ended:
        await queries.sweep()
        ended = await heard(stop, within=IDLE_SECONDS / 3)
