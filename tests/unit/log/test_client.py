"""The client of a NATS connection, without a server."""

from __future__ import annotations

import asyncio
from urllib.parse import urlparse

import pytest
from nats.aio.client import Srv

from flunq.log.nats.client import DirectClient


class Pinged(DirectClient):
    """A client whose pings go nowhere; the test answers them."""

    def __init__(self) -> None:
        super().__init__()
        self.pinged: asyncio.Queue[asyncio.Future[bool]] = asyncio.Queue()

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        assert future is not None
        self.pinged.put_nowait(future)


async def test_what_was_sent_is_seen_once_the_ping_is_answered() -> None:
    client = Pinged()
    waiting = asyncio.create_task(client.flushed())
    pong = await client.pinged.get()
    assert not waiting.done()
    pong.set_result(True)
    await waiting


async def test_a_cancelled_wait_leaves_the_answer_to_the_read_loop() -> None:
    client = Pinged()
    waiting = asyncio.create_task(client.flushed())
    pong = await client.pinged.get()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    pong.set_result(True)  # an error here would end the read loop


async def test_a_cancellation_that_comes_with_the_answer_is_not_forgotten() -> None:
    client = Pinged()
    waiting = asyncio.create_task(client.flushed())
    pong = await client.pinged.get()
    pong.set_result(True)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_socket_of_an_attempt_that_failed_is_closed_by_the_next() -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(asyncio.Protocol, "127.0.0.1", 0) as silent:
        target = Srv(urlparse(f"nats://127.0.0.1:{silent.sockets[0].getsockname()[1]}"))
        client = DirectClient()
        client.options["connect_timeout"] = 2
        writers = []
        for _ in range(2):
            await client._connect_to_server(target)
            writers.append(getattr(client._transport, "_io_writer"))  # noqa: B009 - no public name
        assert [writer.is_closing() for writer in writers] == [True, False]
        client.abort()
