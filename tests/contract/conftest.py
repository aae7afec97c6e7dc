"""Every port on every backend: the same tests on memory and on a real nats-server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import msgspec
import pytest

from flunq.log.memory import MemoryBroker, MemoryDatabase, MemoryEventStream
from flunq.log.nats import NatsDatabase, NatsEventStream
from flunq.log.nats.server import NatsServer, generate_credentials, plan_servers
from flunq.log.select import StreamSettings
from tests.support.nats import settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flunq.log.ports import Database, EventStream

LEASE_TTL = 2.0
ACK_WAIT = 1.0


class Backend(Protocol):
    """A broker, and processes that connect to it."""

    tenant: str

    def event_stream(self, process: str = "a") -> EventStream: ...
    def database(self, process: str = "a") -> Database: ...


class MemoryBackend:
    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.tenant = "default"

    def settings(self, process: str) -> StreamSettings:
        return StreamSettings(name=process, lease_ttl=LEASE_TTL, ack_wait=ACK_WAIT)

    def event_stream(self, process: str = "a") -> EventStream:
        return MemoryEventStream(self.settings(process), self.broker)

    def database(self, process: str = "a") -> Database:
        return MemoryDatabase(self.settings(process), self.broker)


class NatsBackend:
    def __init__(self, server: NatsServer, tenant: str) -> None:
        self.server = server
        self.tenant = tenant

    def settings(self, process: str) -> StreamSettings:
        return msgspec.structs.replace(
            settings_for(self.server, tenant=self.tenant),
            name=process,
            lease_ttl=LEASE_TTL,
            ack_wait=ACK_WAIT,
        )

    def event_stream(self, process: str = "a") -> EventStream:
        return NatsEventStream(self.settings(process))

    def database(self, process: str = "a") -> Database:
        return NatsDatabase(self.settings(process))


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One real server for a module, with fsync before every acknowledgement."""
    directory = tmp_path_factory.mktemp("nats")
    server = NatsServer(plan_servers(directory, credentials=generate_credentials())[0])
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield server
        runner.run(server.stop())


@pytest.fixture(params=["memory", "nats"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """One broker per test, as far as tests can tell: each has a tenant of its own."""
    if request.param == "memory":
        return MemoryBackend()
    return NatsBackend(request.getfixturevalue("running_server"), f"t-{uuid4().hex[:12]}")


@pytest.fixture
async def stream(backend: Backend) -> AsyncIterator[EventStream]:
    """A connected event stream whose streams exist."""
    async with backend.event_stream() as connected:
        await connected.ensure(8)
        yield connected


@pytest.fixture
async def other(backend: Backend, stream: EventStream) -> AsyncIterator[EventStream]:
    """Another process on the same broker and tenant."""
    async with backend.event_stream("b") as connected:
        yield connected


@pytest.fixture
async def database(backend: Backend) -> AsyncIterator[Database]:
    """A connected database whose buckets exist."""
    async with backend.database() as connected:
        await connected.ensure()
        yield connected


@pytest.fixture
async def other_database(backend: Backend, database: Database) -> AsyncIterator[Database]:
    """The same buckets, seen by another process."""
    async with backend.database("b") as connected:
        yield connected
