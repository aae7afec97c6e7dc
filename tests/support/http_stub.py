"""An HTTP server that does as it is told and writes down what it was asked.

In tests: ``async with HttpStub() as stub: stub.answer("/a", Answer(503), Answer(json=1))``.
Answers of a path are used in order, the last one for ever; a path without answers echoes.

As a process of its own (``python -m tests.support.http_stub PORT``) it is a ledger: each request's
idempotency key is counted, ``GET /ledger`` returns the counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_REASONS = {200: "OK", 302: "Found", 404: "Not Found", 503: "Service Unavailable"}


@dataclass
class Request:
    """What came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def key(self) -> str | None:
        """The idempotency key."""
        return self.headers.get("idempotency-key")

    def json(self) -> Any:
        """Return the body as a value."""
        return msgspec.json.decode(self.body)


@dataclass
class Answer:
    """What goes out."""

    status: int = 200
    json: Any = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    compress: bool = False
    hold: asyncio.Event | None = None
    """Nothing is sent before it is set."""
    drip: bool = False
    """Send the head and one byte, then nothing more."""
    hang_up: bool = False
    """Close the connection instead of answering."""
    chunks: tuple[bytes, ...] = ()
    """Send these as a chunked body."""
    content_length: int | None = None
    """Lie about the length."""

    def parts(self) -> tuple[dict[str, str], bytes]:
        """Return headers and body."""
        headers = dict(self.headers)
        body = self.body
        if self.json is not None:
            body = msgspec.json.encode(self.json)
            headers.setdefault("content-type", "application/json")
        if self.compress:
            body = gzip.compress(body)
            headers["content-encoding"] = "gzip"
        length = len(body) if self.content_length is None else self.content_length
        if self.chunks:
            headers["transfer-encoding"] = "chunked"
        else:
            headers["content-length"] = str(length)
        return headers, body


class HttpStub:
    """The server; ``async with`` opens it on a free port of 127.0.0.1."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.requests: list[Request] = []
        self.ledger: Counter[str] = Counter()
        self.arrived: asyncio.Queue[Request] = asyncio.Queue()
        self._answers: dict[str, list[Answer | Callable[[Request], Answer]]] = {}
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[Any] | None, asyncio.StreamWriter] = {}
        self._count = 0

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, *answers: Answer | Callable[[Request], Answer]) -> str:
        """Say how a path answers; return its URL."""
        self._answers[path] = list(answers)
        return self.url + path

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        connections = dict(self._connections)
        for task, writer in connections.items():
            writer.close()
            if task is not None:
                task.cancel()
        await asyncio.gather(*(t for t in connections if t), return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections[task] = writer
        self._count += 1
        number = self._count
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while request := await _read(reader, number):
                    self._note(request)
                    if not await _send(writer, self._choose(request)):
                        return
        finally:
            self._connections.pop(task, None)
            writer.close()

    def _note(self, request: Request) -> None:
        self.requests.append(request)
        self.arrived.put_nowait(request)
        if request.key is not None:
            self.ledger[request.key] += 1

    def _choose(self, request: Request) -> Answer:
        if request.path == "/ledger" and request.path not in self._answers:
            return Answer(json=dict(self.ledger))
        answers = self._answers.get(request.path)
        if not answers:
            return Answer(json={"method": request.method, "target": request.target})
        chosen = answers[0] if len(answers) == 1 else answers.pop(0)
        return chosen if isinstance(chosen, Answer) else chosen(request)


async def _read(reader: asyncio.StreamReader, number: int) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body, number)


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send an answer; tell whether the connection goes on."""
    if answer.hold is not None:
        await answer.hold.wait()
    if answer.hang_up:
        return False
    headers, body = answer.parts()
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    if answer.drip:
        writer.write(body[:1])
        await writer.drain()
        await asyncio.Event().wait()
    for chunk in answer.chunks:
        writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n" if answer.chunks else body)
    await writer.drain()
    return "close" not in headers.get("connection", "")


async def _main(port: int) -> None:
    async with HttpStub(port) as stub:
        sys.stdout.write(f"{stub.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
