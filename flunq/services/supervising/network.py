"""Free ports, listening sockets, and a small HTTP GET that needs no client library."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flunq.errors import UsageError
from flunq.log.nats.ports import bind_free
from flunq.log.nats.tls import CA_VARIABLE, client_context

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK = "127.0.0.1"
_LARGEST_ANSWER = 8 * 1024 * 1024


def free_ports(count: int, *, preferred: Iterable[int] = ()) -> list[int]:
    """Return ports that nobody listens on now, the preferred ones first."""
    held: list[socket.socket] = []
    try:
        for port in preferred:
            if len(held) < count and port:
                _hold(held, port)
        while len(held) < count:
            _hold(held, 0)
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def _hold(held: list[socket.socket], port: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Connections of an earlier run that linger do not keep a server from the port either.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if port:
            sock.bind((LOOPBACK, port))
        else:
            bind_free(sock, LOOPBACK)
        sock.listen(1)
    except OSError:
        sock.close()
        if not port:
            raise
    else:
        held.append(sock)


def require_free(port: int, option: str) -> int:
    """Return the port that the user named, or say that it is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
            sock.listen(1)
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be used: {error.strerror}",
                hint=f"name another one with {option}, or leave it out for a free port",
            ) from error
    return port


def listen(port: int, *, preferred: int = 0, patience: float = 0.0) -> socket.socket:
    """Return a listening socket; it outlives the process that accepts on it.

    Without a named port it is the preferred one or any that is free. ``patience`` is for the
    processes of a cluster that was killed: they give a named port back within seconds.
    """
    if not port:
        try:
            return _listen_on(preferred)
        except OSError:
            return _listen_on(0)
    deadline = time.monotonic() + patience
    while True:
        try:
            return _listen_on(port)
        except OSError as error:
            if time.monotonic() >= deadline:
                raise UsageError(
                    f"port {port} cannot be used: {error.strerror}",
                    hint="name another one with --api-port, or leave it out for a free port",
                ) from error
        time.sleep(0.05)


def _listen_on(port: int) -> socket.socket:
    sock = socket.create_server((LOOPBACK, port), backlog=1024)
    sock.setblocking(False)
    return sock


async def http_get(url: str, *, within: float = 2.0, ca: str | None = None) -> tuple[int, bytes]:
    """Fetch a small page from a server of a cluster; raises OSError or TimeoutError."""
    parts = urlsplit(url)
    tls = client_context(ca or os.environ.get(CA_VARIABLE)) if parts.scheme == "https" else None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or (443 if tls else 80), ssl=tls
        )
        try:
            writer.write(request.encode())
            answer = await reader.read(_LARGEST_ANSWER)
            while not reader.at_eof() and len(answer) < _LARGEST_ANSWER:
                answer += await reader.read(_LARGEST_ANSWER)
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise OSError(f"{url} does not speak HTTP")
    return int(words[1]), body


def can_connect(url: str, *, timeout: float = 0.5) -> bool:
    """Tell whether something accepts connections there."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port or 4222), timeout=timeout):
            return True
    except OSError:
        return False
