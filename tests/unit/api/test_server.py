from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from flunq.api.app import create_app
from flunq.api.contract import ApiRoute, Call, Reply, Streamed, json_reply
from flunq.api.limits import ApiLimits
from flunq.api.server import protocol_of
from flunq.api.services import ApiSettings
from flunq.services.base import Lifecycle
from flunq.services.control import ControlSettings, run_control
from tests.support.api import services
from tests.support.chromium import chromium
from tests.support.http_stub import Answer, HttpStub

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

FLOODED = asyncio.Event()
HEAD = b"authorization: Bearer admin\r\nhost: api\r\n"


async def echo(call: Call) -> Reply:
    return json_reply({"length": len(call.body["text"])})


async def flood(call: Call) -> Streamed:
    del call

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            FLOODED.set()

    return Streamed(chunks=chunks(), media="text/plain")


ROUTES = [
    ApiRoute(method="POST", path="/echo", endpoint=echo, summary="", name="echo", body=Any),
    ApiRoute(
        method="GET", path="/flood", endpoint=flood, summary="", name="flood", media=("text/plain",)
    ),
]


@asynccontextmanager
async def serving(origins: tuple[str, ...] = (), **limits: Any) -> AsyncIterator[tuple[str, int]]:
    """Run the API as a control process does, on a port of its own."""
    chosen = ApiLimits(**limits)
    app = create_app(services(settings=ApiSettings(limits=chosen, cors_origins=origins)), ROUTES)
    sock = socket.create_server(("127.0.0.1", 0))
    address: tuple[str, int] = sock.getsockname()
    settings = ControlSettings(nats_url="memory://none", socket=sock.detach())
    lifecycle = Lifecycle("control")
    running = asyncio.create_task(
        run_control(settings, app, lifecycle, protocol=protocol_of(chosen))
    )
    try:
        yield address
    finally:
        lifecycle.stop.set()
        await running


async def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Send bytes and return everything that comes until the server hangs up."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_what_is_no_http_is_told_so_in_a_problem() -> None:
    async with serving() as address:
        answer = await exchange(address, b"hello?\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in answer
    assert b"urn:flunq:error:not-http" in answer
    assert b"bytearray" not in answer
    assert answer.count(b"\r\ndate: ") == 1


async def test_answers_carry_the_date_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    request = b"GET /nowhere HTTP/1.1\r\n" + HEAD + b"connection: close\r\n\r\n"
    async with serving() as address:
        for second, date in ((0, b"Thu, 01 Jan 1970 00:00:00 GMT"), (60, b"00:01:00 GMT")):
            monkeypatch.setattr("flunq.api.server.time", lambda now=second: now + 0.9)
            answer = await exchange(address, request)
            assert answer.lower().count(b"\r\ndate: ") == 1
            assert date in answer


async def test_headers_without_end_are_too_large() -> None:
    async with serving() as address:
        answer = await exchange(address, b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "begun", [b"", b"POST /echo HTTP/1.1\r\n", b"POST /echo HTTP/1.1\r\nhost: api\r\nx-a: "]
)
async def test_who_never_finishes_the_headers_is_cut_off(begun: bytes) -> None:
    async with serving(header_seconds=0.1) as address:
        assert await exchange(address, begun) == b""


async def test_a_second_request_has_its_own_deadline() -> None:
    body = b'{"text":"a"}'
    first = b"POST /echo HTTP/1.1\r\n" + HEAD + b"content-length: 12\r\n\r\n" + body
    async with serving(header_seconds=0.2) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(first)
        answer = await reader.readuntil(b"}")
        writer.write(b"POST /echo HTT")
        assert await reader.read() == b""
        writer.close()
    assert b'{"length":1}' in answer


async def test_a_body_in_chunks_is_counted_while_it_comes() -> None:
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    head = b"POST /echo HTTP/1.1\r\n" + HEAD + b"transfer-encoding: chunked\r\n\r\n"
    async with serving(body=100_000) as address:
        answer = await exchange(address, head + chunk * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


async def test_a_body_that_stops_coming_is_given_up() -> None:
    head = b"POST /echo HTTP/1.1\r\n" + HEAD + b"content-length: 100\r\n\r\n{"
    async with serving(body_seconds=0.1) as address:
        answer = await exchange(address, head)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_two_lengths_of_one_body_are_refused() -> None:
    head = b"POST /echo HTTP/1.1\r\n" + HEAD
    lengths = b"content-length: 4\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    async with serving() as address:
        answer = await exchange(address, head + lengths + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


SMUGGLED = b"GET /hidden HTTP/1.1\r\nhost: api\r\n\r\n"
FRAMINGS = {
    "length-and-chunks": b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two-lengths": b"content-length: 0\r\ncontent-length: 39\r\n\r\n",
    "lengths-in-a-list": b"content-length: 0, 39\r\n\r\n",
    "a-length-with-a-sign": b"content-length: +0\r\n\r\n",
    "a-length-in-hexadecimal": b"content-length: 0x0\r\n\r\n",
    "an-unknown-coding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two-codings": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a-coding-twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a-space-before-the-colon": b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "a-folded-header": b"x: y\r\n content-length: 0\r\nhost : b\r\n\r\n",
    "a-chunk-of-no-number": b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a-return-in-a-value": b"x: y\rcontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
async def test_no_second_request_hides_in_the_body_of_another(framing: bytes) -> None:
    head = b"POST /echo HTTP/1.1\r\n" + HEAD
    async with serving(body_seconds=0.5, header_seconds=0.5) as address:
        answer = await exchange(address, head + framing + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert answer.count(b"HTTP/1.1 ") == 1


ASK_FROM_A_PAGE = """
window.said = null;
fetch("%s/echo", {
  method: "POST", body: '{"text":"four"}',
  headers: {"authorization": "Bearer admin", "content-type": "application/json",
            "idempotency-key": "k"},
}).then(answer => answer.text()).catch(error => String(error)).then(text => { said = text });
"""


@pytest.mark.chromium
@pytest.mark.timeout(120)
async def test_a_page_of_a_named_origin_may_ask_and_no_other(tmp_path: Path) -> None:
    async with HttpStub() as site, HttpStub() as stranger, chromium(tmp_path / "profile") as page:
        for each in (site, stranger):
            each.answer("/", Answer(body=b"<!doctype html>", headers={"content-type": "text/html"}))
        async with serving(origins=(site.url.rstrip("/"),)) as address:
            said = []
            for each in (site, stranger):
                await page.ask("Page.navigate", url=f"{each.url.rstrip('/')}/")
                await page.until(f"location.origin == {each.url.rstrip('/')!r}")
                await page.value(ASK_FROM_A_PAGE % f"http://{address[0]}:{address[1]}")
                await page.until("window.said !== null")
                said.append(await page.value("said"))
    assert said[0] == '{"length":4}'
    assert "Failed to fetch" in said[1]


async def test_one_caller_more_than_there_are_places_is_sent_away() -> None:
    async with serving(connections=2) as address:
        first = [await asyncio.open_connection(*address) for _ in range(2)]
        answer = await exchange(address, b"")
        for _, writer in first:
            writer.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer


async def test_who_takes_nothing_of_an_answer_is_cut_off_and_holds_nobody_up() -> None:
    request = b"GET /flood HTTP/1.1\r\n" + HEAD + b"\r\n"
    body = b'{"text":"a"}'
    other = b"POST /echo HTTP/1.1\r\n" + HEAD + b"content-length: 12\r\n"
    async with serving(write_seconds=0.2) as address:
        lazy = socket.create_connection(address)
        lazy.sendall(request)
        answer = await exchange(address, other + b"connection: close\r\n\r\n" + body)
        await FLOODED.wait()
        lazy.close()
    assert b'{"length":1}' in answer
