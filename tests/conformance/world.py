"""The servers, files and functions that the documents of the suite call.

Documents name them symbolically, so that they are valid as they stand: ``http://stub.example`` is
an HTTP server with the answers below, ``grpc.example`` a gRPC server, ``/broker/`` a nats-server.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from flunq.core.json import JSON  # noqa: TC001 - annotations of functions are read at run time
from flunq.sdk.context import ExecutorContext, ExecutorSettings
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import TaskError
from flunq.sdk.functions import FunctionExecutor, Functions, Step
from flunq.sdk.registry import load_executor
from flunq.sdk.secrets import MappingSecrets
from flunq.services.executor.pool import ExecutorPool
from flunq_plugins.container import ContainerExecutor
from tests.conformance import answers
from tests.conformance.functions import add, echo, fail
from tests.support.brokers import broker
from tests.support.docker_stub import ERR, Container, DockerStub
from tests.support.http_stub import Answer, HttpStub, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import nats.aio.client

    from tests.support.grpc_stub import GrpcStub

FILES = Path(__file__).with_name("files")
LOCAL = EgressPolicy.development()
STUB = "http://stub.example"
GRPC = "grpc.example"
BROKER = "broker.yaml"
EXECUTORS = ("http", "openapi", "grpc", "asyncapi", "a2a", "mcp", "programs")
SETTINGS = ExecutorSettings(egress=LOCAL, programs=True)
HELD = "/hang"
MCP_SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")


class World:
    """All that surrounds one case; ``async with`` opens what its document mentions."""

    def __init__(self, mentions: str, folder: Path) -> None:
        self._mentions = mentions
        self._folder = folder
        self._stack = AsyncExitStack()
        self._forever = asyncio.Event()
        self.http = HttpStub()
        self.grpc: GrpcStub | None = None
        self.docker: DockerStub | None = None
        self.failures: dict[str, int] = {}
        self.on_hold: Callable[[], object] = int
        self.catalog = str(FILES / "catalog")

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.http)
        answers.install(self.http)
        self.http.answer(HELD, self._held)
        if GRPC in self._mentions:
            self.grpc = await self._stack.enter_async_context(answers.grpc_server())
        if "container" in self._mentions:
            self.docker = DockerStub(self._folder / "engine.sock")
            self.docker.programs |= {"cat": _cat, "fails": _fails, "pulled:1": _cat}
            await self._stack.enter_async_context(self.docker)
        if BROKER in self._mentions:
            ports = await self._stack.enter_async_context(broker(self._folder))
            await self._publish_ticks(ports.nats)
            sockets = await self._stack.enter_async_context(serve(_talk, "127.0.0.1", 0))
            port = next(iter(sockets.sockets)).getsockname()[1]
            answers.serve_broker_document(self.http, ports, port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def _held(self, _: Request) -> Answer:
        self.on_hold()
        return Answer(hold=self._forever)

    async def _publish_ticks(self, port: int) -> None:
        """Publish on ``ticks`` again and again while the case runs."""
        import nats

        client = await nats.connect(f"nats://127.0.0.1:{port}")
        self._stack.push_async_callback(client.close)
        ticking = asyncio.create_task(_tick(client))
        self._stack.push_async_callback(_stop, ticking)

    def real(self, value: Any) -> Any:
        """Return a value with the true addresses in the place of the symbolic ones."""
        if isinstance(value, dict):
            if value.get("host") == GRPC and self.grpc is not None:
                value = {**value, "host": "127.0.0.1", "port": self.grpc.port}
            return {self.real(key): self.real(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self.real(item) for item in value]
        if not isinstance(value, str):
            return value
        return value.replace(STUB, self.http.url).replace("MCP_SERVER", MCP_SERVER)

    def symbolic(self, value: Any) -> Any:
        """Return a value with the symbolic addresses, as cases expect it."""
        text = msgspec.json.encode(value).decode()
        text = text.replace(self.http.url, STUB).replace(self.http.url[7:], STUB[7:])
        return msgspec.json.decode(text)

    def requests(self) -> list[dict[str, Any]]:
        """Return what the servers were asked."""
        found = [answers.described(request) for request in self.http.requests]
        if self.grpc is not None:
            found += [
                {"grpc": messages, "metadata": metadata}
                for messages, metadata in zip(self.grpc.requests, self.grpc.metadata, strict=False)
            ]
        if self.docker is not None:
            found += [
                {"docker": str(asked), "query": asked.query, "body": asked.body}
                for asked in self.docker.requests
            ]
        return found

    def pool(
        self, secrets: dict[str, Any], bundled: Callable[[str], Awaitable[bytes]]
    ) -> ExecutorPool:
        """Return the executors that come with flunq and the functions of this module."""
        executors = [load_executor(name)() for name in EXECUTORS]
        docker = {} if self.docker is None else self.docker.environment
        executors += [ContainerExecutor(docker), FunctionExecutor(self._functions())]
        context = ExecutorContext(SETTINGS, secrets=MappingSecrets(secrets), bundled=bundled)
        return ExecutorPool(executors, context=context, watched=False)

    def _functions(self) -> Functions:
        functions = Functions()

        async def flaky(times: int, step: Step, status: int = 503) -> JSON:
            count = self.failures[step.key] = self.failures.get(step.key, 0) + 1
            if count <= times:
                raise TaskError("communication", status, "Out of order")
            return {"attempts": count}

        async def never() -> JSON:
            self.on_hold()
            await self._forever.wait()
            return None

        for function in (echo, add, fail, flaky, never):
            functions.register(function)
        return functions


async def _tick(client: nats.aio.client.Client) -> None:
    number = 0
    while True:
        number += 1
        await client.publish("ticks", msgspec.json.encode({"n": number}))
        await asyncio.sleep(0.01)


async def _talk(connection: ServerConnection) -> None:
    number = 0
    with contextlib.suppress(ConnectionClosed):
        while True:
            number += 1
            await connection.send(msgspec.json.encode({"n": number}).decode())
            await asyncio.sleep(0.01)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _cat(container: Container) -> int:
    await container.fed.wait()
    await container.write(container.stdin)
    return 0


async def _fails(container: Container) -> int:
    await container.write("out\n")
    await container.write("err\n", ERR)
    return 3
