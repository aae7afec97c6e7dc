"""Queries for clients elsewhere: a slow one is waited for, one that is given up holds up nobody."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.client import Client
from flunq.core.protocol import Answer
from flunq.log.memory import MemoryEventStream
from flunq.log.memory.broker import MemoryBroker
from flunq.log.select import StreamSettings
from flunq.services.answering import given
from flunq.services.queries import AT_ONCE, OpenAnswer, Queries
from flunq.store.query_job import (
    CloseQuery,
    Done,
    OpenQuery,
    QueryPage,
    QueryRequest,
    Question,
    sql_subject,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.store.query_job import Reply

ANYTHING = Question(sql="select 1")


async def test_a_query_is_not_left_while_somebody_waits_for_its_page() -> None:
    computed = asyncio.Event()

    async def slow() -> AsyncIterator[Reply]:
        await computed.wait()
        yield Done(rows=0)

    opened = OpenAnswer("q", slow(), AsyncExitStack())
    waiting = asyncio.create_task(opened.page(1))
    await asyncio.sleep(0)
    assert not opened.was_left(monotonic() + 1)
    computed.set()
    assert (await waiting).replies == [Done(rows=0)]
    assert opened.was_left(monotonic() + 1)


async def test_queries_that_were_closed_before_they_answered_hold_up_nobody(tmp_path: Path) -> None:
    # Nobody answers for the partitions, so queries begin and do not go on.
    async with Client(MemoryEventStream(StreamSettings())) as client:
        queries = Queries(client, tmp_path)

        async def problem(request: QueryRequest) -> object:
            answer = msgspec.json.decode(
                await queries.answer(msgspec.json.encode(request)), type=Answer
            )
            return answer.problem and answer.problem["detail"]

        def begin(id: str) -> asyncio.Task[object]:
            return asyncio.create_task(problem(OpenQuery(question=ANYTHING, id=id)))

        begun = [begin(f"q{n}") for n in range(AT_ONCE)]
        assert await begin("more") == f"{AT_ONCE} queries run already"
        assert await begin("q0") == "a query of that id is open"
        for n in range(AT_ONCE):
            assert await problem(CloseQuery(id=f"q{n}")) is None
        assert await asyncio.gather(*begun) == ["that query is over"] * AT_ONCE
        again = begin("q0")
        await asyncio.sleep(0)
        assert await problem(CloseQuery(id="q0")) is None
        assert await again == "that query is over"


async def test_who_gives_a_query_up_before_it_answers_says_so() -> None:
    requests: list[QueryRequest] = []
    begun = asyncio.Event()

    async def answer(payload: bytes) -> bytes:
        requests.append(msgspec.json.decode(payload, type=QueryRequest))
        if isinstance(requests[-1], OpenQuery):
            begun.set()
            await asyncio.Event().wait()
        return given(QueryPage(id=requests[-1].id))

    broker = MemoryBroker()
    async with (
        MemoryEventStream(StreamSettings(), broker) as home,
        Client(MemoryEventStream(StreamSettings(), broker)) as client,
        home.requests.serve(sql_subject("default"), answer),
    ):
        asking = asyncio.create_task(client.sql(ANYTHING.sql))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    opened, closed = requests
    assert closed == CloseQuery(id=opened.id)
