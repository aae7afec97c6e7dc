"""What a control process serves a moment after it is ready is waited for, but not forever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.client import Client
from flunq.client.presence import ABSENCE, ask_when_there
from flunq.client.sql import ask_cluster
from flunq.errors import UnavailableError
from flunq.log.memory import MemoryEventStream
from flunq.log.memory.broker import MemoryBroker
from flunq.log.ports import NoResponderError, RequestTimeoutError
from flunq.log.select import StreamSettings
from flunq.services.answering import given
from flunq.store.query_job import (
    Chunk,
    CloseQuery,
    Done,
    Limits,
    QueryPage,
    QueryRequest,
    Question,
    sql_subject,
)

if TYPE_CHECKING:
    from flunq.store.query_job import Reply

SUBJECT = "flunq.test.presence"


async def test_somebody_who_comes_later_is_asked_once() -> None:
    asked: list[bytes] = []

    async def answer(payload: bytes) -> bytes:
        asked.append(payload)
        return b"here"

    async with MemoryEventStream(StreamSettings()) as stream:
        asking = asyncio.create_task(
            ask_when_there(stream.requests, SUBJECT, b"who?", timeout=5.0, absence=5.0)
        )
        await asyncio.sleep(0)
        assert not asking.done()
        async with stream.requests.serve(SUBJECT, answer):
            assert await asking == b"here"
    assert asked == [b"who?"]


async def test_nobody_is_not_waited_for_longer_than_wanted() -> None:
    async with MemoryEventStream(StreamSettings()) as stream:
        with pytest.raises(NoResponderError):
            await ask_when_there(stream.requests, SUBJECT, b"", timeout=5.0, absence=0.0)


async def test_who_is_there_and_says_nothing_is_not_asked_again() -> None:
    asked: list[bytes] = []

    async def silence(payload: bytes) -> bytes | None:
        asked.append(payload)
        return None

    async with (
        MemoryEventStream(StreamSettings()) as stream,
        stream.requests.serve(SUBJECT, silence),
    ):
        with pytest.raises(RequestTimeoutError):
            await ask_when_there(stream.requests, SUBJECT, b"once", timeout=0.01)
    assert asked == [b"once"]


async def test_a_query_waits_for_a_cluster_that_answers_none_yet() -> None:
    async def answer(payload: bytes) -> bytes:
        request = msgspec.json.decode(payload, type=QueryRequest)
        ended = isinstance(request, CloseQuery)
        return given(QueryPage(id="q", replies=[] if ended else [Done(rows=7)]))

    broker = MemoryBroker()
    async with (
        MemoryEventStream(StreamSettings(), broker) as home,
        Client(MemoryEventStream(StreamSettings(), broker)) as client,
    ):
        asking = asyncio.create_task(replies(client))
        await asyncio.sleep(0)
        async with home.requests.serve(sql_subject("default"), answer):
            assert await asking == [Done(rows=7)]


async def test_a_query_that_is_open_is_not_waited_for_when_its_process_is_gone() -> None:
    async def answer(_payload: bytes) -> bytes:
        return given(QueryPage(id="q", replies=[Chunk(rows=[[1]])]))

    broker = MemoryBroker()
    async with (
        MemoryEventStream(StreamSettings(), broker) as home,
        Client(MemoryEventStream(StreamSettings(), broker)) as client,
    ):
        pages = ask_cluster(client, Question(sql="select 1"), Limits())
        async with home.requests.serve(sql_subject("default"), answer):
            assert await anext(pages) == Chunk(rows=[[1]])
        async with asyncio.timeout(ABSENCE / 2):
            with pytest.raises(UnavailableError, match="answers no queries"):
                await anext(pages)


async def replies(client: Client) -> list[Reply]:
    return [each async for each in ask_cluster(client, Question(sql="select 1"), Limits())]
