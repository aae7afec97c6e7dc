"""A web server in a process of its own that answers every GET at once, and counts them.

``python -m flunq.bench.stub`` prints its port and serves until its stdin is closed, so that it
never outlives whoever started it. ``GET /count`` says how many other requests there were.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from flunq.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_BODY = b'{"id": 7, "name": "lamp", "price": 12.5}'
_END = b"\r\n\r\n"
_COUNT = "/count"


class Stub:
    """The server as seen by the benchmark."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Callable[[str], Awaitable[bytes]]]:
        """Yield what gets a path through one connection, as fast as this process can."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def get(path: str) -> bytes:
            writer.write(b"GET %b HTTP/1.1\r\nHost: stub" % path.encode() + _END)
            head = await reader.readuntil(_END)
            return await reader.readexactly(int(head.rpartition(b":")[2]))

        try:
            yield get
        finally:
            writer.close()
            await writer.wait_closed()

    async def count(self) -> int:
        """Return how many requests were answered, those for the count apart."""
        async with self.connection() as get:
            return int(await get(_COUNT))


@asynccontextmanager
async def http_stub() -> AsyncIterator[Stub]:
    """Start the server, and end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "flunq.bench.stub"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = await process.stdout.readline()
        if not port:
            raise InternalError("the web server of the benchmark did not start")
        yield Stub(int(port))
    finally:
        process.stdin.close()
        await process.wait()


class _Answering(asyncio.Protocol):
    """One connection, kept alive; requests have no body."""

    requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing received."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        *requests, self._received = (self._received + data).split(_END)
        self._transport.write(b"".join(map(_answer, requests)))


def _answer(request: bytes) -> bytes:
    body = _BODY
    if request.split(b" ", 2)[1] == _COUNT.encode():
        body = b"%d" % _Answering.requests
    else:
        _Answering.requests += 1
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d"
    return head % len(body) + _END + body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
