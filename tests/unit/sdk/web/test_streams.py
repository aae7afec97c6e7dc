from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import pytest

from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.web import streams
from flunq.sdk.web.authentication import credentials
from flunq.sdk.web.client import Outgoing, parse_url
from flunq.sdk.web.streams import ReplyStream, ServerEvent
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import HttpClient

EVENTS = {"content-type": "text/event-stream"}


async def _pieces(*chunks: bytes) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        yield chunk


def _stream(*chunks: bytes, limit: int = 1000) -> ReplyStream:
    return ReplyStream(200, {}, _pieces(*chunks), limit)


def _get(url: str) -> Outgoing:
    return Outgoing("GET", parse_url(url), {})


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\r\n\nc"], ["a", "b", "", "c"]),
        ([b"a", b"b\n", b"c", b"\n"], ["ab", "c"]),
        ([b"\xc3", b"\xa9\n"], ["é"]),
        ([b"\xff\n"], ["\ufffd"]),
        ([], []),
    ],
)
async def test_lines_are_cut_wherever_the_chunks_end(chunks: list[bytes], lines: list[str]) -> None:
    assert [line async for line in _stream(*chunks).lines()] == lines


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: 1\n\n", [ServerEvent(data="1")]),
        (b"data:a\ndata: b\n\n", [ServerEvent(data="a\nb")]),
        (b"event: add\nid: 7\ndata: x\n\n", [ServerEvent(event="add", id="7", data="x")]),
        (b": ping\n\nevent: none\n\ndata: x\n\n", [ServerEvent(data="x")]),
        (b"id: 1\ndata: a\n\ndata: b\n\n", [ServerEvent(id="1", data=d) for d in "ab"]),
        (b"data: cut off", []),
        (b"\xef\xbb\xbfdata: x\n\n", [ServerEvent(data="x")]),
    ],
)
async def test_events_are_put_together(text: bytes, events: list[ServerEvent]) -> None:
    assert [event async for event in _stream(text).events()] == events


@pytest.mark.parametrize("chunks", [[b"x" * 1001], [b"x" * 600, b"x" * 600, b"\n"]])
async def test_a_line_without_end_is_cut_off(chunks: list[bytes]) -> None:
    with pytest.raises(TaskError, match="one line of the response is larger than 1000 bytes"):
        [line async for line in _stream(*chunks).lines()]


async def test_an_event_without_end_is_cut_off() -> None:
    endless = b"data: " + b"x" * 100 + b"\n"
    with pytest.raises(TaskError, match="one event of the response is larger"):
        [event async for event in _stream(*[endless] * 20).events()]


async def test_many_events_may_be_longer_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_LINE", 50)
    stream = _stream(*[b"data: x\n\n"] * 1000)
    assert len([event async for event in stream.events()]) == 1000


async def test_a_body_that_is_read_as_a_whole_has_a_limit() -> None:
    assert await _stream(b"a", b"b").read() == b"ab"
    with pytest.raises(TaskError, match="one body of the response is larger"):
        await _stream(b"x" * 600, b"x" * 600).read()


async def test_events_come_while_the_response_goes_on(client: HttpClient, stub: HttpStub) -> None:
    hold = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await hold.wait()
        writer.write(b"data: 2\n\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client.stream(_get(f"http://127.0.0.1:{port}/")) as reply:
            assert (reply.status, reply.is_events) == (200, True)
            events = reply.events()
            assert (await anext(events)).data == "1"
            hold.set()
            assert [event.data async for event in events] == ["2"]


async def test_a_compressed_stream_is_unpacked(client: HttpClient, stub: HttpStub) -> None:
    packed = gzip.compress(b"data: 1\n\ndata: 2\n\n")
    headers = EVENTS | {"content-encoding": "gzip"}
    url = stub.answer("/s", Answer(chunks=(packed[:10], packed[10:]), headers=headers))
    async with client.stream(_get(url)) as reply:
        assert [event.data async for event in reply.events()] == ["1", "2"]


async def test_a_connection_that_was_read_to_its_end_is_used_again(
    client: HttpClient, stub: HttpStub
) -> None:
    for _ in range(2):
        async with client.stream(_get(stub.url)) as reply:
            await reply.read()
    async with client.stream(_get(stub.url)) as reply:
        assert reply.status == 200
    async with client.stream(_get(stub.url)) as reply:
        await reply.read()
    assert [request.connection for request in stub.requests] == [1, 1, 1, 2]


async def test_a_stream_can_be_authorized(
    client: HttpClient, stub: HttpStub, context: TaskContext
) -> None:
    challenge = {"www-authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
    url = stub.answer("/s", Answer(401, headers=challenge), Answer(json="in"))
    granted = await credentials({"digest": {"use": "login"}}, context, client)
    async with client.stream(_get(url), auth=granted.auth) as reply:
        assert await reply.read() == b'"in"'
    assert [request.connection for request in stub.requests] == [1, 1]


async def test_a_refusal_that_is_final_can_be_read(
    client: HttpClient, stub: HttpStub, context: TaskContext
) -> None:
    url = stub.answer("/s", Answer(401, body=b"no", compress=True))
    granted = await credentials({"digest": {"use": "login"}}, context, client)
    async with client.stream(_get(url), auth=granted.auth) as reply:
        assert (reply.status, await reply.read()) == (401, b"no")


async def test_a_stream_that_breaks_off_is_a_communication_error(
    client: HttpClient, stub: HttpStub
) -> None:
    cut = Answer(body=b"data: 1\n\n", content_length=100, headers={"connection": "close"})
    seen: list[Any] = []
    with pytest.raises(TaskError) as caught:
        async with client.stream(_get(stub.answer("/s", cut))) as reply:
            async for event in reply.events():
                seen.append(event)
    assert (caught.value.type, caught.value.status) == (f"{ERRORS}communication", 502)
    assert seen == [ServerEvent(data="1")]
