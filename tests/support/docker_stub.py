"""A container engine that runs nothing: the socket API over a real Unix socket, with a memory.

A container does what ``programs[image]`` says: it is given the standard input and tells what to
write and how to end. ``engine.requests`` are the requests in order, ``engine.containers`` the
containers that are there.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

OUT, ERR = 1, 2
ENDED = "2024-05-01T10:00:00.123456789Z"


@dataclass
class Container:
    """What the engine knows of a container."""

    id: str
    name: str
    body: dict[str, Any]
    state: str = "created"
    code: int = 0
    stdin: bytes = b""
    output: list[tuple[int, bytes]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    work: asyncio.Task[None] | None = None
    fed: asyncio.Event = field(default_factory=asyncio.Event)
    error: str = ""

    async def write(self, text: str | bytes, stream: int = OUT) -> None:
        """Write to an output."""
        data = text.encode() if isinstance(text, str) else text
        async with self.changed:
            self.output.append((stream, data))
            self.changed.notify_all()

    async def end(self, code: int) -> None:
        """End it."""
        async with self.changed:
            self.state, self.code = "exited", code
            self.changed.notify_all()


Program = Callable[[Container], Awaitable[int]]


@dataclass
class Request:
    """What was asked, and the query in plain values."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    upgrade: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class RefusalError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def hello(container: Container) -> int:
    """Write a greeting."""
    await container.write("hello\n")
    return 0


async def wait_for_ever(container: Container) -> int:
    """Say that it runs, then nothing more."""
    await container.write("running\n")
    await asyncio.Event().wait()
    return 0


class DockerStub:
    """The engine; ``async with`` opens its socket."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.requests: list[Request] = []
        self.programs: dict[str, Program] = {"hello": hello, "endless": wait_for_ever}
        self.registry: dict[str, Program] = {}
        """Images that can be pulled, by name and tag."""
        self.configs: dict[str, dict[str, Any]] = {}
        self.containers: dict[str, Container] = {}
        self.removed: list[str] = []
        self.refusals: dict[str, RefusalError] = {}
        """What to answer to requests that end like this, once."""
        self.log_driver = "json-file"
        self.deaf: set[str] = set()
        """Images whose programs do not read."""
        self.in_pieces = False
        """Whether answers come byte by byte."""
        self._count = 0
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[Any] | None, asyncio.StreamWriter] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What leads to this engine."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def asked(self, start: str) -> list[Request]:
        """Return the requests that begin so."""
        return [request for request in self.requests if str(request).startswith(start)]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.socket)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for task in self._connections if task]
        tasks += [each.work for each in self.containers.values() if each.work]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections[task] = writer
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._answer(await _read(reader), _Reply(writer, self.in_pieces), reader)
        finally:
            self._connections.pop(task, None)
            writer.close()

    async def _answer(self, request: Request, reply: _Reply, reader: asyncio.StreamReader) -> None:
        self.requests.append(request)
        try:
            for end in [end for end in self.refusals if str(request).endswith(end)]:
                raise self.refusals.pop(end)
            kind, _, rest = request.path.strip("/").partition("/")
            await getattr(self, f"_{kind}")(request, rest, reply, reader)
        except RefusalError as error:
            await reply.json({"message": str(error)}, error.status)

    async def _info(self, request: Request, rest: str, reply: _Reply, _: Any) -> None:
        await reply.json({"LoggingDriver": self.log_driver})

    async def _images(self, request: Request, rest: str, reply: _Reply, _: Any) -> None:
        if rest == "create":
            await self._pull(request, reply)
            return
        name = rest.removesuffix("/json")
        if name not in self.programs:
            raise RefusalError(404, f"No such image: {name}")
        await reply.json({"Id": "sha256:1", "Config": self.configs.get(name, {})})

    async def _pull(self, request: Request, reply: _Reply) -> None:
        tag = request.query.get("tag")
        name = request.query["fromImage"] + (f":{tag}" if tag else "")
        steps: list[dict[str, str]] = [{"status": f"Pulling {name}"}]
        if name in self.registry:
            self.programs[name] = self.programs[name.removesuffix(":latest")] = self.registry[name]
            steps.append({"status": "Downloaded"})
        else:
            steps.append({"error": f"manifest for {name} not found"})
        await reply.start(200)
        for step in steps:
            await reply.chunk(msgspec.json.encode(step) + b"\r\n")
        await reply.finish()

    async def _containers(
        self, request: Request, rest: str, reply: _Reply, reader: asyncio.StreamReader
    ) -> None:
        if rest == "json":
            await reply.json([self._row(each) for each in self._matching(request)])
        elif rest == "create":
            await reply.json({"Id": self._create(request).id, "Warnings": []}, 201)
        else:
            name, _, what = rest.partition("/")
            if name not in self.containers:
                raise RefusalError(404, f"No such container: {name}")
            action = what or request.method.lower()
            await getattr(self, f"_do_{action}")(self.containers[name], reply, reader)

    def _matching(self, request: Request) -> list[Container]:
        filters = msgspec.json.decode(request.query.get("filters", "{}"))
        found = []
        for each in self.containers.values():
            pairs = [f"{name}={value}" for name, value in each.body["Labels"].items()]
            known = {*pairs, *each.body["Labels"]}
            if known.issuperset(filters.get("label", [])) and each.state in filters.get(
                "status", [each.state]
            ):
                found.append(each)
        return found

    def _row(self, container: Container) -> dict[str, Any]:
        labels = container.body["Labels"]
        return {"Id": container.id, "State": container.state, "Labels": labels}

    def _create(self, request: Request) -> Container:
        name = request.query["name"]
        if any(each.name == name for each in self.containers.values()):
            raise RefusalError(409, f'Conflict. The container name "/{name}" is already in use')
        if request.body["Image"] not in self.programs:
            raise RefusalError(404, f"No such image: {request.body['Image']}")
        self._count += 1
        made = Container(id=f"c{self._count}", name=name, body=request.body)
        self.containers[made.id] = made
        return made

    async def _do_json(self, container: Container, reply: _Reply, _: Any) -> None:
        state = {"Status": container.state, "FinishedAt": ENDED, "ExitCode": container.code}
        await reply.json({"Id": container.id, "State": state})

    async def _do_attach(
        self, container: Container, reply: _Reply, reader: asyncio.StreamReader
    ) -> None:
        await reply.upgrade()
        if container.body["Image"] in self.deaf:
            await asyncio.Event().wait()
        while data := await reader.read(65536):
            container.stdin += data
        container.fed.set()

    async def _do_start(self, container: Container, reply: _Reply, _: Any) -> None:
        container.state = "running"
        container.work = asyncio.create_task(self._work(container))
        await reply.json(None, 204)

    async def _work(self, container: Container) -> None:
        if container.body["OpenStdin"] and container.body["Image"] not in self.deaf:
            await container.fed.wait()
        await container.end(await self.programs[container.body["Image"]](container))

    async def _do_logs(self, container: Container, reply: _Reply, _: Any) -> None:
        await reply.start(200)
        done = 0
        while True:
            async with container.changed:
                if done == len(container.output):
                    if container.state == "exited":
                        break
                    await container.changed.wait()
            for stream, data in container.output[done:]:
                await reply.chunk(struct.pack("!BxxxI", stream, len(data)) + data)
                done += 1
        await reply.finish()

    async def _do_wait(self, container: Container, reply: _Reply, _: Any) -> None:
        async with container.changed:
            await container.changed.wait_for(lambda: container.state == "exited")
        error = {"Message": container.error} if container.error else None
        await reply.json({"StatusCode": container.code, "Error": error})

    async def _do_delete(self, container: Container, reply: _Reply, _: Any) -> None:
        if container.work is not None:
            container.work.cancel()
        self.removed.append(container.id)
        del self.containers[container.id]
        await container.end(137)
        await reply.json(None, 204)


class _Reply:
    """Writes one answer."""

    def __init__(self, writer: asyncio.StreamWriter, in_pieces: bool) -> None:
        self._writer = writer
        self._in_pieces = in_pieces

    async def json(self, value: Any, status: int = 200) -> None:
        body = b"" if value is None else msgspec.json.encode(value)
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        await self._send(f"HTTP/1.1 {status} Status\r\n{length}\r\n".encode() + body)

    async def start(self, status: int) -> None:
        head = f"HTTP/1.1 {status} Status\r\nTransfer-Encoding: chunked\r\n\r\n"
        await self._send(head.encode())

    async def chunk(self, data: bytes) -> None:
        await self._send(f"{len(data):X}\r\n".encode() + data + b"\r\n")

    async def finish(self) -> None:
        await self._send(b"0\r\n\r\n")

    async def upgrade(self) -> None:
        await self._send(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")

    async def _send(self, data: bytes) -> None:
        for piece in [data[n : n + 1] for n in range(len(data))] if self._in_pieces else [data]:
            self._writer.write(piece)
            await self._writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    method, target, _ = (await reader.readuntil(b"\r\n")).decode().split(" ")
    headers: dict[str, str] = {}
    while (line := await reader.readuntil(b"\r\n")).strip():
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    body = msgspec.json.decode(content) if content else None
    upgrade = headers.get("upgrade") == "tcp"
    return Request(method, unquote(parts.path), query, body, upgrade)
