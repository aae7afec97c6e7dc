"""A TCP proxy that misbehaves on demand: silence, delays, cut connections, lost answers."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Proxy:
    """Forwards connections; those open when :meth:`blackhole` is called stay open and dead."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._marker: bytes | None = None
        self.cuts = 0
        """Connections that were cut because of a marker."""
        self.delay = 0.0
        self.swallowing = False
        """New connections are taken, and nothing goes through them."""
        self.accepted = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection both ways."""
        self.accepted += 1
        if self.swallowing:
            self._writers.append(writer)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._writers += [writer, upstream[1]]
        link = _Link()
        for source, sink, sent in ((reader, upstream[1], True), (upstream[0], writer, False)):
            pump = asyncio.create_task(self._pump(link, source, sink, sent=sent))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def blackhole(self) -> None:
        """Stop reading and writing on all open connections."""
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Hold everything back while the block runs; nothing is lost, new connections wait too."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def lose_answer_to(self, marker: bytes) -> None:
        """Pass on the next data sent that contains a marker, then cut: its answer is lost."""
        self._marker = marker

    def reset(self) -> None:
        """Cut all open connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def aclose(self) -> None:
        """Cut everything."""
        await self.blackhole()
        self.reset()

    async def _pump(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        sent: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if not sent and link.deaf:
                    continue
                if sent and self._marker is not None and self._marker in data:
                    self._marker = None
                    link.deaf = True
                sink.write(data)
                await sink.drain()
                if sent and link.deaf:
                    # The half-closed connection lets the server read all of it first.
                    self.cuts += 1
                    break
            sink.close()


class _Link:
    """What both directions of a connection share."""

    deaf = False
    """Answers are thrown away."""


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a local port while the context is open."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.aclose()
