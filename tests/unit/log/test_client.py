"""The client of a NATS connection, without a server."""

from __future__ import annotations

import asyncio
from urllib.parse import urlparse

import pytest
from nats.aio.client import Srv

from flunq.log.nats.client import DirectClient
from flunq.testing.clock import VirtualLoop, run_virtually
from tests.support.waiting import elapse


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


class Connected(DirectClient):
    """A client that believes itself connected, and what it does about a silent server."""

    def __init__(self, loop: VirtualLoop, *, calm: float = 1.0, answers: int = 0) -> None:
        super().__init__()
        self._status = self.CONNECTED
        self.options |= {"ping_interval": 1.0, "max_outstanding_pings": 2}
        self._max_payload = 100
        self.calm_seconds = calm
        self.answers = answers
        """How many pings the server answers."""
        self._loop = loop
        self._direct[1] = lambda *_: None
        self.pings: list[int] = []
        self.left_at = 0

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        self.pings.append(self._seconds())
        if len(self.pings) <= self.answers:
            self._answer = asyncio.create_task(self._answer_soon())

    async def _answer_soon(self) -> None:
        await elapse(0.01)
        await self._process_pong()

    async def _process_op_err(self, e: Exception) -> None:
        self.left_at = self._seconds()

    def _seconds(self) -> int:
        return self._loop.micros() // 1_000_000

    async def hear_until(self, seconds: int) -> None:
        """Get a message twice a second, then nothing any more; return once the server was left."""
        pinging = asyncio.create_task(self._ping_interval())
        for _ in range(2 * seconds):
            await elapse(0.5)
            await self._process_msg(1, b"x", b"", b"", b"")
        await pinging

    async def ask_at(self, seconds: int) -> None:
        """Send something once, for which no answer comes; return once the server was left."""
        pinging = asyncio.create_task(self._ping_interval())
        await elapse(seconds)
        self.send("x", b"")
        await pinging


def test_a_server_that_is_heard_is_not_asked_for_a_sign_of_life() -> None:
    loop = VirtualLoop()
    client = Connected(loop)
    run_virtually(client.hear_until(60), loop)
    assert len(client.pings) == 2
    assert client.pings[0] > 60
    assert 63 <= client.left_at <= 64


def test_a_calm_client_that_asked_for_nothing_waits_longer() -> None:
    loop = VirtualLoop()
    client = Connected(loop, calm=10.0)
    run_virtually(client.hear_until(0), loop)
    assert client.pings == [10, 11]
    assert client.left_at == 12


def test_a_calm_client_goes_on_calmly_after_an_answer() -> None:
    loop = VirtualLoop()
    client = Connected(loop, calm=10.0, answers=2)
    run_virtually(client.hear_until(0), loop)
    assert client.pings == [10, 21, 32, 33]
    assert client.left_at == 34


def test_a_calm_client_that_gets_no_answer_waits_no_longer_than_others() -> None:
    loop = VirtualLoop()
    client = Connected(loop, calm=10.0)
    run_virtually(client.ask_at(5), loop)
    assert client.pings == [6, 7]
    assert client.left_at == 8


@pytest.mark.parametrize("subject", ["a 0\r\n\r\nPUB b", "a\tb", "a b", "a\n"])
def test_a_subject_cannot_be_more_than_one_command(subject: str) -> None:
    with pytest.raises(ValueError, match="is no subject"):
        DirectClient().send(subject, b"")
