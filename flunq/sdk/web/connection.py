"""HTTP/1.1 connections, kept for reuse; every new one obeys the egress policy.

A host is resolved here, and the connection goes to an address that was checked: a name that
resolves differently a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from itertools import count
from socket import SOCK_STREAM
from typing import TYPE_CHECKING, NamedTuple, cast

import h11

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from flunq.sdk.egress import EgressPolicy

KEEPALIVE = 15.0
CONNECT_TIMEOUT = 10.0
"""Seconds that one address may take to answer, so that a dead one leaves time for the next."""
_HIGH_WATER = 256 * 1024
_MAX_HEAD = 64 * 1024
_MAX_PRELIMINARY = 100
_FAIR = 256
"""Parts of a body after which others get their turn."""


class EgressRefusedError(Exception):
    """The policy forbids every address of a host."""


class ConnectFailedError(Exception):
    """No address of a host could be connected to; nothing was sent."""


class ConnectionBrokeError(Exception):
    """The connection ended, or made no sense, before the response was complete."""


class Origin(NamedTuple):
    """What a connection leads to."""

    scheme: str
    host: str
    port: int


class Head(NamedTuple):
    """The beginning of a response."""

    status: int
    headers: dict[str, str]


class _Wire(asyncio.Protocol):
    """Bytes of one connection; bytes that nobody asked for end it."""

    def __init__(self) -> None:
        self.busy = True
        self.received = False
        """Whether anything came since the last request."""
        self.ended = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            self.abort()
            return
        self.received = True
        self._chunks.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._wake()

    def write(self, data: bytes) -> None:
        """Send; the bytes are in memory anyway, so there is nothing to wait for."""
        assert self._transport is not None
        self.received = False
        self._transport.write(data)

    async def read(self) -> bytes:
        """Return what came next; nothing at the end."""
        while not self._chunks and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._paused and not self.ended and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def abort(self) -> None:
        """Close at once."""
        self.ended = True
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection:
    """One request and response at a time."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self.fresh = True
        """Whether it carries its first request."""
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Tell whether another request may be sent."""
        return not self._wire.ended and self._state.our_state is h11.IDLE

    @property
    def silent(self) -> bool:
        """Tell whether the server sent nothing since the request."""
        return not self._wire.received

    def send(self, request: h11.Request, content: bytes) -> None:
        """Send a whole request; raises h11.LocalProtocolError when it is malformed."""
        self._wire.busy = True
        data = self._state.send(request) or b""
        if content:
            data += self._state.send(h11.Data(data=content)) or b""
        self._wire.write(data + (self._state.send(h11.EndOfMessage()) or b""))

    async def head(self) -> Head:
        """Read the beginning of the response."""
        for _ in range(_MAX_PRELIMINARY):
            event = await self._event()
            if isinstance(event, h11.Response):
                return Head(event.status_code, _joined(event.headers.raw_items()))
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                raise ConnectionBrokeError("the server sent something else than a response")
        raise ConnectionBrokeError("the server sent too many preliminary responses")

    async def body(self) -> AsyncIterator[bytes]:
        """Read the body as it comes."""
        for number in count(1):
            if number % _FAIR == 0:
                # Chunks of a few bytes would keep the loop for themselves.
                await asyncio.sleep(0)
            event = await self._event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionBrokeError("the server sent something else than a body")

    def recycle(self) -> bool:
        """Get ready for another request; tell whether that is possible."""
        states = (self._state.our_state, self._state.their_state)
        if states != (h11.DONE, h11.DONE) or self._state.trailing_data[0] or self._wire.ended:
            return False
        self._state.start_next_cycle()
        self._wire.busy = False
        self.fresh = False
        self.idle_since = asyncio.get_running_loop().time()
        return True

    def close(self) -> None:
        """Close at once."""
        self._wire.abort()

    async def _event(self) -> object:
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionBrokeError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            data = await self._wire.read()
            if not data and self._state.their_state is h11.SEND_RESPONSE:
                raise ConnectionBrokeError("the server closed it without an answer")
            self._state.receive_data(data)


class ConnectionPool:
    """Connections by origin: at most ``limit`` in use, the last one used is used first."""

    def __init__(
        self, policy: EgressPolicy, *, limit: int, tls: Callable[[], ssl.SSLContext]
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._tls_context: ssl.SSLContext | None = None
        self._slots = asyncio.Semaphore(limit)
        self._free = limit
        self._idle: dict[Origin, list[Connection]] = {}
        self._kept: dict[Connection, Origin] = {}
        """All of them, the one that was not used for longest first."""
        self._sweep: asyncio.TimerHandle | None = None

    async def take(self, origin: Origin, *, fresh: bool = False) -> Connection:
        """Return a connection that is ready for a request; give it back with :meth:`release`."""
        await self._slots.acquire()
        self._free -= 1
        try:
            while not fresh and (waiting := self._idle.get(origin)):
                connection = waiting[-1]
                self._forget(connection)
                if connection.usable:
                    return connection
                connection.close()
            return await self._connect(origin)
        except BaseException:  # also when cancelled: somebody else may have the slot
            self._free += 1
            self._slots.release()
            raise

    def release(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection that can be used again, if need be instead of an older one."""
        self._free += 1
        self._slots.release()
        if not connection.recycle():
            connection.close()
            return
        self._idle.setdefault(origin, []).append(connection)
        self._kept[connection] = origin
        while len(self._kept) > self._free:
            self._drop(next(iter(self._kept)))
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEEPALIVE, self._close_old)

    def close(self) -> None:
        """Close what is not in use."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self._kept):
            self._drop(connection)

    def _forget(self, connection: Connection) -> None:
        origin = self._kept.pop(connection)
        kept = self._idle[origin]
        if kept[-1] is connection:
            kept.pop()
        else:
            kept.remove(connection)
        if not kept:
            del self._idle[origin]

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.close()

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEEPALIVE
        for connection in [c for c in self._kept if c.idle_since <= oldest or not c.usable]:
            self._drop(connection)
        self._sweep = loop.call_later(KEEPALIVE / 3, self._close_old) if self._idle else None

    async def _connect(self, origin: Origin) -> Connection:
        problem: Exception | None = None
        for address in self._allowed(origin.host, await _resolve(origin)):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    return await self._open(origin, address)
            except TimeoutError:
                problem = problem or TimeoutError(f"no answer within {CONNECT_TIMEOUT:g} s")
            except OSError as error:
                problem = error
        raise ConnectFailedError(str(problem)) from problem

    async def _open(self, origin: Origin, address: str) -> Connection:
        secure = origin.scheme == "https"
        if secure and self._tls_context is None:
            self._tls_context = await asyncio.to_thread(self._tls)
        _, wire = await asyncio.get_running_loop().create_connection(
            _Wire,
            address,
            origin.port,
            ssl=self._tls_context if secure else None,
            server_hostname=origin.host if secure else None,
        )
        return Connection(wire)

    def _allowed(self, host: str, addresses: list[str]) -> list[str]:
        refusals = {address: self._policy.refusal(address) for address in addresses}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if not allowed:
            address, refusal = next(iter(refusals.items()), (host, "it has no address"))
            name = host if host == address else f"{host} ({address})"
            raise EgressRefusedError(f"calls to {name} are refused: {refusal}")
        return allowed


async def _resolve(origin: Origin) -> list[str]:
    try:
        return [str(ipaddress.ip_address(origin.host))]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(origin.host, origin.port, type=SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailedError(f"the name cannot be resolved: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
