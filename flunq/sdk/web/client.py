"""Requests over pooled connections: redirects, authentication, limits, clear errors.

It imports httpx, so executors get it from ``shared.http_client``, with their first call.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import h11
import httpx

from flunq.sdk.executor import TaskError
from flunq.sdk.web.body import decompressed, read_body
from flunq.sdk.web.connection import (
    ConnectFailedError,
    ConnectionBrokeError,
    ConnectionPool,
    EgressRefusedError,
    Origin,
)
from flunq.sdk.web.streams import ReplyStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Iterator

    from flunq.sdk.context import ExecutorSettings
    from flunq.sdk.web.connection import Connection, Head

MAX_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
UNAUTHORIZED = 401
_PORTS = {"http": 80, "https": 443}
_BODY_HEADERS = ("content-length", "content-type", "transfer-encoding")
PRIVATE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


class Outgoing:
    """A request; header names are in lower case."""

    __slots__ = ("content", "headers", "method", "private", "url")

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        headers: dict[str, str],
        content: bytes = b"",
        private: frozenset[str] = PRIVATE_HEADERS,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.content = content
        self.private = private
        """Headers that no other server may see, when a redirect leads to one."""

    @property
    def origin(self) -> Origin:
        """Return where it goes."""
        url = self.url
        return Origin(url.scheme, url.raw_host.decode(), url.port or _PORTS[url.scheme])

    @property
    def place(self) -> str:
        """Return the host and port for messages."""
        origin = self.origin
        return f"{origin.host}:{origin.port}"

    def with_headers(self, more: dict[str, str]) -> Outgoing:
        """Return the request with some headers replaced."""
        return Outgoing(self.method, self.url, self.headers | more, self.content, self.private)

    def on_the_wire(self) -> h11.Request:
        """Return the head as h11 sends it."""
        headers = [*({"host": self.url.netloc.decode()} | self.headers).items()]
        if self.content or self.method in ("POST", "PUT", "PATCH"):
            headers.append(("content-length", str(len(self.content))))
        return h11.Request(
            method=self.method,
            target=self.url.raw_path,
            headers=[(name.encode(), value.encode()) for name, value in headers],
        )


class Reply:
    """A response that was read to its end, and the request that led to it."""

    __slots__ = ("body", "headers", "request", "status")

    def __init__(
        self, request: Outgoing, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        self.request = request
        self.status = status
        self.headers = headers
        self.body = body


class HttpClient:
    """Sends requests, follows redirects if asked to, reads bodies within a limit."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._max_body = settings.max_body
        self._pool = ConnectionPool(
            settings.egress, limit=settings.max_connections, tls=_tls_context
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    async def send(
        self,
        request: Outgoing,
        *,
        auth: httpx.Auth | None = None,
        follow: bool = False,
        max_body: int | None = None,
    ) -> Reply:
        """Return the response; raises ``communication`` and ``authorization`` TaskErrors."""
        limit = self._max_body if max_body is None else max_body
        origin = request.origin
        for _ in range(MAX_REDIRECTS + 1):
            trusted = auth if request.origin == origin else None
            async with self._authorized(request, trusted) as exchange:
                reply = await exchange.reply(limit)
            if not (follow and reply.status in REDIRECTS and "location" in reply.headers):
                return reply
            request = _redirected(reply)
        raise TaskError("communication", 502, detail=f"more than {MAX_REDIRECTS} redirects")

    @asynccontextmanager
    async def stream(
        self, request: Outgoing, *, auth: httpx.Auth | None = None
    ) -> AsyncIterator[ReplyStream]:
        """Send a request and read the response as it comes; redirects are not followed.

        The caller sets a time limit (``asyncio.timeout``); leaving the block ends the connection
        unless the body was read to its end.
        """
        async with self._authorized(request, auth) as exchange:
            head = exchange.head
            with _translated(request):
                chunks = decompressed(exchange.chunks(), head.headers, self._max_body)
                async with aclosing(chunks):
                    yield ReplyStream(head.status, head.headers, chunks, self._max_body)

    @asynccontextmanager
    async def _authorized(
        self, request: Outgoing, auth: httpx.Auth | None
    ) -> AsyncIterator[_Exchange]:
        """Open the exchange whose response is final: challenges were answered before."""
        if auth is None:
            exchange = await self._open(request)
        else:
            exchange = await self._negotiated(request, auth)
        try:
            yield exchange
        finally:
            self._release(exchange)

    async def _negotiated(self, request: Outgoing, auth: httpx.Auth) -> _Exchange:
        shadow = httpx.Request(request.method, request.url)
        flow = auth.async_auth_flow(shadow)
        async with aclosing(flow):
            shadow = await anext(flow)
            while True:
                granted = {n: v for n, v in shadow.headers.items() if n in PRIVATE_HEADERS}
                exchange = await self._open(request.with_headers(granted))
                if exchange.head.status != UNAUTHORIZED:
                    return exchange
                await self._finish(exchange)
                try:
                    shadow = await flow.asend(exchange.seen_by(shadow))
                except StopAsyncIteration:
                    return exchange

    async def _finish(self, exchange: _Exchange) -> None:
        """Read a refusal and give the connection back: what follows may need one, too."""
        try:
            await exchange.keep_body(self._max_body)
        finally:
            self._release(exchange)

    def _release(self, exchange: _Exchange) -> None:
        if exchange.connection is not None:
            self._pool.release(exchange.request.origin, exchange.connection)
            exchange.connection = None

    async def _open(self, request: Outgoing) -> _Exchange:
        """Send a request, and once more if a kept connection was closed at that moment."""
        with _translated(request):
            connection = await self._pool.take(request.origin)
            kept = not connection.fresh
            try:
                return await self._begin(request, connection)
            except ConnectionBrokeError:
                if not (kept and connection.silent):
                    raise
            # The task runs at least once, with one idempotency key: again is allowed.
            fresh = await self._pool.take(request.origin, fresh=True)
            return await self._begin(request, fresh)

    async def _begin(self, request: Outgoing, connection: Connection) -> _Exchange:
        try:
            connection.send(request.on_the_wire(), request.content)
            return _Exchange(request, connection, await connection.head())
        except BaseException:  # also when cancelled: the pool counts its connections
            self._pool.release(request.origin, connection)
            raise


class _Exchange:
    """A request that was sent, and the beginning of its response."""

    __slots__ = ("_kept", "connection", "head", "request")

    def __init__(self, request: Outgoing, connection: Connection, head: Head) -> None:
        self.request = request
        self.connection: Connection | None = connection
        self.head = head
        self._kept = b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return the body as it comes, or as it was kept."""
        if self.connection is None:
            yield self._kept
            return
        async for chunk in self.connection.body():
            yield chunk

    async def keep_body(self, limit: int) -> None:
        """Read the body, as it is sent, for later."""
        with _translated(self.request):
            self._kept = await read_body(self.chunks(), {}, limit)

    async def reply(self, limit: int) -> Reply:
        """Read the body."""
        with _translated(self.request):
            body = await read_body(self.chunks(), self.head.headers, limit)
        return Reply(self.request, self.head.status, self.head.headers, body)

    def seen_by(self, shadow: httpx.Request) -> httpx.Response:
        """Return the response as an ``httpx.Auth`` wants it: the head is enough."""
        headers = {n: v for n, v in self.head.headers.items() if n != "content-encoding"}
        return httpx.Response(self.head.status, headers=headers, request=shadow)


@contextmanager
def _translated(request: Outgoing) -> Iterator[None]:
    """Turn what goes wrong with a connection into errors of the DSL."""
    try:
        yield
    except EgressRefusedError as error:
        raise TaskError("authorization", 403, "The address is not allowed", str(error)) from error
    except ConnectFailedError as error:
        detail = f"cannot connect to {request.place}: {error}"
        raise TaskError("communication", 503, detail=detail) from error
    except ConnectionBrokeError as error:
        detail = f"the connection to {request.place} broke: {error}"
        raise TaskError("communication", 502, detail=detail) from error
    except h11.LocalProtocolError as error:
        # What it quotes may be a secret.
        problem = str(error).partition(" b'")[0].partition(' b"')[0]
        raise TaskError("validation", 400, "Not a valid request", problem) from None


@lru_cache(maxsize=1024)
def parse_url(text: str) -> httpx.URL:
    """Return an absolute http or https URL."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise _invalid(f"the endpoint is not a URI: {error}") from error
    if url.scheme not in _PORTS or not url.host:
        raise _invalid(f"the endpoint {text[:200]!r} is not an absolute http or https URI")
    return url


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid HTTP call", problem)


def _tls_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _redirected(reply: Reply) -> Outgoing:
    request = reply.request
    try:
        url = request.url.join(reply.headers["location"])
    except httpx.InvalidURL as error:
        raise TaskError("communication", 502, detail=f"redirected to nowhere: {error}") from error
    if url.scheme not in _PORTS or not url.host:
        raise TaskError("communication", 502, detail=f"redirected to {url.scheme}:, not to HTTP")
    headers = dict(request.headers)
    headers.pop("host", None)
    method, content = request.method, request.content
    if (reply.status == 303 and method != "HEAD") or (
        reply.status in (301, 302) and method == "POST"
    ):
        method, content = "GET", b""
        _drop(headers, _BODY_HEADERS)
    redirected = Outgoing(method, url, headers, content, request.private)
    if redirected.origin != request.origin:
        _drop(headers, request.private)
    return redirected


def _drop(headers: dict[str, str], names: Iterable[str]) -> None:
    for name in names:
        headers.pop(name, None)
