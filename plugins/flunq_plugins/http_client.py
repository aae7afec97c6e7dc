"""Requests over pooled connections: redirects, authentication, limits, clear errors.

It imports httpx, so the executor imports it with its first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import httpx

from flunq.sdk.executor import TaskError
from flunq_plugins.http_body import read_body
from flunq_plugins.http_connection import (
    ConnectFailedError,
    ConnectionBrokeError,
    ConnectionPool,
    EgressRefusedError,
    Origin,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator

    from flunq.sdk.context import ExecutorSettings
    from flunq_plugins.http_connection import Connection

MAX_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_BODY_HEADERS = ("content-length", "content-type", "transfer-encoding")
_PRIVATE_HEADERS = ("authorization", "cookie", "proxy-authorization")


class Outgoing:
    """A request; header names are in lower case."""

    __slots__ = ("content", "headers", "method", "url")

    def __init__(
        self, method: str, url: httpx.URL, headers: dict[str, str], content: bytes = b""
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.content = content

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
        return Outgoing(self.method, self.url, self.headers | more, self.content)

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

    async def send(self, request: Outgoing, *, auth: httpx.Auth | None, follow: bool) -> Reply:
        """Return the response; raises ``communication`` and ``authorization`` TaskErrors."""
        origin = request.origin
        for _ in range(MAX_REDIRECTS + 1):
            if auth is not None and request.origin == origin:
                reply = await self._authenticated(request, auth)
            else:
                reply = await self._checked(request)
            if not (follow and reply.status in REDIRECTS and "location" in reply.headers):
                return reply
            request = _redirected(reply)
        raise TaskError("communication", 502, detail=f"more than {MAX_REDIRECTS} redirects")

    async def _authenticated(self, request: Outgoing, auth: httpx.Auth) -> Reply:
        shadow = httpx.Request(request.method, request.url)
        flow: Generator[httpx.Request, httpx.Response, None] = auth.sync_auth_flow(shadow)
        try:
            shadow = next(flow)
            while True:
                granted = {n: v for n, v in shadow.headers.items() if n in _PRIVATE_HEADERS}
                reply = await self._checked(request.with_headers(granted))
                answer = httpx.Response(reply.status, headers=reply.headers, request=shadow)
                try:
                    shadow = flow.send(answer)
                except StopIteration:
                    return reply
        finally:
            flow.close()

    async def _checked(self, request: Outgoing) -> Reply:
        try:
            return await self._repeated(request)
        except EgressRefusedError as error:
            hint = "use a profile or an egress policy that allows it"
            raise TaskError(
                "authorization", 403, "The address is not allowed", f"{error}; {hint}"
            ) from error
        except ConnectFailedError as error:
            detail = f"cannot connect to {request.place}: {error}"
            raise TaskError("communication", 503, detail=detail) from error
        except ConnectionBrokeError as error:
            detail = f"the connection to {request.place} broke: {error}"
            raise TaskError("communication", 502, detail=detail) from error
        except h11.LocalProtocolError as error:
            raise TaskError("validation", 400, "Not a valid request", str(error)) from error

    async def _repeated(self, request: Outgoing) -> Reply:
        """Send a request, and once more if a kept connection was closed at that moment."""
        connection = await self._pool.take(request.origin)
        kept = not connection.fresh
        try:
            return await self._exchange(request, connection)
        except ConnectionBrokeError:
            if not (kept and connection.silent):
                raise
        # The task runs at least once, with one idempotency key: sending it again is allowed.
        return await self._exchange(request, await self._pool.take(request.origin, fresh=True))

    async def _exchange(self, request: Outgoing, connection: Connection) -> Reply:
        try:
            connection.send(request.on_the_wire(), request.content)
            head = await connection.head()
            body = await read_body(connection.body(), head.headers, self._max_body)
            return Reply(request, head.status, head.headers, body)
        finally:
            self._pool.release(request.origin, connection)


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
    redirected = Outgoing(method, url, headers, content)
    if redirected.origin != request.origin:
        _drop(headers, _PRIVATE_HEADERS)
    return redirected


def _drop(headers: dict[str, str], names: tuple[str, ...]) -> None:
    for name in names:
        headers.pop(name, None)
