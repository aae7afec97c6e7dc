"""One pool of connections for all calls; every new connection obeys the egress policy.

It imports httpx, so the executor imports it with its first call.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from flunq.sdk.executor import TaskError
from flunq_plugins.http_body import read_body

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from flunq.sdk.context import ExecutorSettings
    from flunq.sdk.egress import EgressPolicy

MAX_REDIRECTS = 10
KEEPALIVE = 15.0
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODY_HEADERS = ("content-length", "content-type", "transfer-encoding")
_PRIVATE_HEADERS = ("authorization", "cookie", "proxy-authorization")


class EgressRefusedError(Exception):
    """The policy forbids every address of a host."""


class Reply:
    """A response that was read to its end, and the request that led to it."""

    __slots__ = ("body", "headers", "request", "status")

    def __init__(
        self, request: httpx.Request, status: int, headers: httpx.Headers, body: bytes
    ) -> None:
        self.request = request
        self.status = status
        self.headers = headers
        self.body = body


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a host itself and connects to an address that was checked.

    A name that resolves differently a moment later gains nothing.
    """

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first allowed address that answers."""
        failure: httpcore.ConnectError | None = None
        for address in self._allowed(host, await _resolve(host, port)):
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def _allowed(self, host: str, addresses: list[str]) -> list[str]:
        refusals = {address: self._policy.refusal(address) for address in addresses}
        allowed = [address for address, refusal in refusals.items() if refusal is None]
        if refusals and not allowed:
            address, refusal = next(iter(refusals.items()))
            name = host if host == address else f"{host} ({address})"
            raise EgressRefusedError(f"calls to {name} are refused: {refusal}")
        return allowed


async def _resolve(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name cannot be resolved: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class HttpClient:
    """Sends requests, follows redirects if asked to, reads bodies within a limit."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._max_body = settings.max_body
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=settings.max_connections,
            max_keepalive_connections=settings.max_connections // 2,
            keepalive_expiry=KEEPALIVE,
            network_backend=GuardedBackend(settings.egress),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def send(self, request: httpx.Request, *, auth: httpx.Auth | None, follow: bool) -> Reply:
        """Return the response; raises ``communication`` and ``authorization`` TaskErrors."""
        origin = _origin(request.url)
        for _ in range(MAX_REDIRECTS + 1):
            same = _origin(request.url) == origin
            reply = await self._with_auth(request, auth if same else None)
            if not (follow and reply.status in _REDIRECTS and "location" in reply.headers):
                return reply
            request = _redirected(reply)
        raise TaskError("communication", 502, detail=f"more than {MAX_REDIRECTS} redirects")

    async def _with_auth(self, request: httpx.Request, auth: httpx.Auth | None) -> Reply:
        if auth is None:
            return await self._checked(request)
        flow: Generator[httpx.Request, httpx.Response, None] = auth.sync_auth_flow(request)
        try:
            request = next(flow)
            while True:
                reply = await self._checked(request)
                try:
                    request = flow.send(
                        httpx.Response(reply.status, headers=reply.headers, request=request)
                    )
                except StopIteration:
                    return reply
        finally:
            flow.close()

    async def _checked(self, request: httpx.Request) -> Reply:
        place = f"{request.url.host}:{request.url.port or request.url.scheme}"
        try:
            return await self._repeated(request)
        except EgressRefusedError as error:
            hint = "use a profile or an egress policy that allows it"
            raise TaskError(
                "authorization", 403, "The address is not allowed", f"{error}; {hint}"
            ) from error
        except httpcore.ConnectError as error:
            raise _failed(503, f"cannot connect to {place}", error) from error
        except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
            raise TaskError("validation", 400, "Not a valid request", str(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
            raise _failed(502, f"the connection to {place} broke", error) from error
        except httpcore.TimeoutException as error:
            raise _failed(504, f"{place} does not answer", error) from error

    async def _repeated(self, request: httpx.Request) -> Reply:
        try:
            return await self._exchange(request)
        except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
            # The server may close a kept connection at the moment it is used again.
            if request.method not in _IDEMPOTENT:
                raise
            return await self._exchange(request)

    async def _exchange(self, request: httpx.Request) -> Reply:
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.content,
            )
        )
        headers = httpx.Headers(response.headers)
        try:
            body = await read_body(response.aiter_stream(), headers, self._max_body)
        finally:
            await response.aclose()
        return Reply(request, response.status, headers, body)


def _redirected(reply: Reply) -> httpx.Request:
    request = reply.request
    try:
        url = request.url.join(reply.headers["location"])
    except httpx.InvalidURL as error:
        raise TaskError("communication", 502, detail=f"redirected to nowhere: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise TaskError("communication", 502, detail=f"redirected to {url.scheme}:, not to HTTP")
    headers = httpx.Headers(request.headers)
    del headers["host"]
    method, content = request.method, request.content
    if (reply.status == 303 and method != "HEAD") or (
        reply.status in (301, 302) and method == "POST"
    ):
        method, content = "GET", b""
        _drop(headers, _BODY_HEADERS)
    if _origin(url) != _origin(request.url):
        _drop(headers, _PRIVATE_HEADERS)
    return httpx.Request(method, url, headers=headers, content=content)


def _drop(headers: httpx.Headers, names: tuple[str, ...]) -> None:
    for name in names:
        headers.pop(name, None)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _failed(status: int, what: str, error: Exception) -> TaskError:
    reason = str(error) or type(error).__name__
    return TaskError("communication", status, detail=f"{what}: {reason}")
