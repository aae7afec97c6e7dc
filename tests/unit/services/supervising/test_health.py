from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from flunq.services.supervising.health import HealthWatch, health_problem
from flunq.services.supervising.network import http_get
from flunq.services.supervising.rates import MessageRates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[str]:
    """Serve the answers one after the other; the last one again and again."""
    left = list(answers)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


GOOD = b'HTTP/1.0 200 OK\r\n\r\n{"status":"ok"}'
FULL = b'HTTP/1.0 503 No\r\n\r\n{"status":"unavailable","error":"no space left on device"}'
BEHIND = b'HTTP/1.0 503 No\r\n\r\n{"status":"unavailable","error":"JetStream is not current"}'
LOST = (
    b'HTTP/1.0 503 No\r\n\r\n{"status":"unavailable",'
    b'"error":"JetStream stream \'$G > KV_flunq_state\' could not be recovered"}'
)


async def test_a_server_says_itself_what_is_wrong() -> None:
    async with answering(GOOD, FULL) as url:
        assert await health_problem(url) is None
        assert await health_problem(url) == "no space left on device"


async def test_a_stream_that_is_just_being_made_is_no_problem() -> None:
    async with answering(LOST, LOST, GOOD) as url:
        assert await health_problem(url) is None


async def test_a_stream_that_stays_lost_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flunq.services.supervising.health._MAKING_SECONDS", 0.0)
    async with answering(LOST) as url:
        assert "could not be recovered" in (await health_problem(url) or "")


async def test_silence_is_a_problem() -> None:
    assert "no answer" in (await health_problem("http://127.0.0.1:1") or "")


async def test_a_restart_is_due_after_repeated_failures_only(tmp_path: Path) -> None:
    async with answering(FULL, FULL, GOOD, FULL, FULL, FULL, FULL) as url:
        watch = HealthWatch(url, tmp_path, patience=3)
        due = [(await watch.check())[1] for _ in range(7)]
    assert due == [False, False, False, False, False, True, False]


async def test_a_server_that_catches_up_is_left_alone(tmp_path: Path) -> None:
    async with answering(BEHIND) as url:
        watch = HealthWatch(url, tmp_path, patience=1)
        assert await watch.check() == ("JetStream is not current", False)


async def test_whoever_does_not_speak_http_is_refused() -> None:
    async with answering(b"INFO {}\r\n") as url:
        with pytest.raises(OSError, match="does not speak HTTP"):
            await http_get(url)


async def test_rates_come_from_two_readings() -> None:
    first = b'HTTP/1.0 200 OK\r\n\r\n{"in_msgs": 10, "out_msgs": 10}'
    second = b'HTTP/1.0 200 OK\r\n\r\n{"in_msgs": 5000, "out_msgs": 10}'
    async with answering(first, second) as url:
        rates = MessageRates()
        assert await rates.read([url]) is None
        shown = await rates.read([url])
    assert shown is not None
    assert shown.endswith(" 0/s out")
    assert not shown.startswith("0/s in")
