"""What a caller may ask of this process, and reading a request within that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import msgspec

from flunq.api.problems import (
    FramingError,
    LargeHeadersError,
    LongAddressError,
    SlowRequestError,
    TooLargeError,
)
from flunq.errors import UsageError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


LINGER_SECONDS = 1.0
"""How long a caller that is refused may go on sending before it is cut off."""


class ApiLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one process."""

    body: int = 8 << 20
    """Bytes of a body."""
    address: int = 8 << 10
    """Bytes of path and query."""
    headers: int = 32 << 10
    """Bytes of all headers together."""
    connections: int = 4096
    streams: int = 512
    """Event streams and waiting polls that may be open at the same time."""
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    write_seconds: float = 30.0
    """How long a caller may leave what is sent to it lying."""
    heartbeat_seconds: float = 15.0
    """After this long without an event a stream says that it is alive."""
    wait_seconds: float = 60.0
    """The longest that a caller may ask to wait."""


class GoneError(Exception):
    """The caller went away before its request was complete."""


def check_size(scope: Scope, limits: ApiLimits) -> None:
    """Refuse an address or headers that are too large."""
    if len(scope["raw_path"]) + len(scope["query_string"]) > limits.address:
        raise LongAddressError(f"path and query may have {limits.address} bytes")
    size = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if size > limits.headers:
        raise LargeHeadersError(f"headers may have {limits.headers} bytes, these have {size}")


def read_headers(scope: Scope) -> dict[str, str]:
    """Return headers by lower-case name; those that come again are joined by commas.

    Raises UsageError for those whose repetition hides something.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            if name in ("authorization", "content-type", "host", "flunq-tenant"):
                raise UsageError(f"the header {name} may be there once")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if "transfer-encoding" in headers and "content-length" in headers:
        raise FramingError("a request has Content-Length or Transfer-Encoding, never both")
    return headers


async def read_body(headers: dict[str, str], receive: Receive, limits: ApiLimits) -> bytes:
    """Read a body; it is counted while it comes, whatever its length was said to be.

    Raises TooLargeError, SlowRequestError or GoneError.
    """
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.body:
        raise _too_large(limits)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                part = message.get("body", b"")
                size += len(part)
                if size > limits.body:
                    raise _too_large(limits)
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise SlowRequestError(
            f"the body was not complete after {limits.body_seconds:g} seconds"
        ) from None


async def discard(receive: Receive) -> None:
    """Take what still comes, for a while: a caller reads the answer only when it has sent all."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request":
                if not message.get("more_body", False):
                    return


def _too_large(limits: ApiLimits) -> TooLargeError:
    return TooLargeError(f"a body may have {limits.body} bytes", limit=limits.body)
