"""A tenant's event stream on NATS JetStream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from flunq.log.nats.audit import NatsAuditTrail
from flunq.log.nats.bus import NatsBus
from flunq.log.nats.capacity import capacity_of
from flunq.log.nats.connection import Connection
from flunq.log.nats.dead_letters import NatsDeadLetters
from flunq.log.nats.inbox import NatsInbox
from flunq.log.nats.jetstream import JetStream
from flunq.log.nats.journal import NatsJournal
from flunq.log.nats.names import Names
from flunq.log.nats.requests import NatsRequests
from flunq.log.nats.schedules import NatsSchedules
from flunq.log.nats.scouring import empty_files
from flunq.log.nats.streams import destroy, drift, ensure, tenant_streams
from flunq.log.nats.tasks import NatsTasks

if TYPE_CHECKING:
    from flunq.core.capacity import Capacity
    from flunq.log.select import StreamSettings


class NatsEventStream:
    """Everything a tenant's events travel through; its ports exist within ``async with``."""

    journal: NatsJournal
    inbox: NatsInbox
    tasks: NatsTasks
    bus: NatsBus
    schedules: NatsSchedules
    requests: NatsRequests
    dead_letters: NatsDeadLetters
    audit: NatsAuditTrail

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.names = Names(settings.tenant)
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        connection = Connection.shared(self.settings)
        await connection.acquire()
        self._connection = connection
        js = JetStream(connection)
        self.journal = NatsJournal(js, self.names)
        self.inbox = NatsInbox(js, self.names)
        self.tasks = NatsTasks(js, self.names, ack_wait=self.settings.ack_wait)
        self.bus = NatsBus(js, self.names)
        self.schedules = NatsSchedules(js, self.names)
        self.requests = NatsRequests(connection)
        self.dead_letters = NatsDeadLetters(js, self.names)
        self.audit = NatsAuditTrail(js, self.names, self.settings.replicas)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.release()

    @property
    def connection(self) -> Connection:
        """The connection, within ``async with``."""
        assert self._connection is not None, "use it within `async with`"
        return self._connection

    @property
    def max_payload(self) -> int:
        """Return how many bytes one message may have, headers included."""
        return int(self.connection.client.max_payload)

    async def ensure(self, partitions: int) -> None:
        """Create the tenant's streams that are missing; partitions are subjects within them."""
        configs = tenant_streams(self.names, self.settings.replicas)
        await ensure(JetStream(self.connection), configs)

    async def destroy(self) -> None:
        """Delete the tenant's streams with all they hold."""
        configs = tenant_streams(self.names, self.settings.replicas)
        await destroy(JetStream(self.connection), [config["name"] for config in configs])

    async def drift(self) -> list[str]:
        """Say which streams are missing or configured otherwise than declared."""
        configs = tenant_streams(self.names, self.settings.replicas)
        return await drift(JetStream(self.connection), configs)

    async def scour(self) -> list[str]:
        """Delete the files of inputs and tasks that were taken, where none are left."""
        js = JetStream(self.connection)
        streams = (self.names.inbox_stream, self.names.tasks_stream)
        return [stream for stream in streams if not await empty_files(js, stream)]

    async def capacity(self) -> Capacity:
        """Say how full the tenant's streams are, and how far their durable consumers are."""
        return await capacity_of(JetStream(self.connection), self.names.streams())

    async def wait_lost(self) -> str:
        """Return, with the reason, once the connection is lost for good."""
        return await self.connection.lost()
