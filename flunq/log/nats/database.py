"""Key-value buckets, blobs and leases on NATS JetStream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from flunq.log.nats.blobs import NatsBlobs
from flunq.log.nats.capacity import capacity_of
from flunq.log.nats.connection import Connection
from flunq.log.nats.jetstream import JetStream
from flunq.log.nats.kv import NatsKeyValue
from flunq.log.nats.leases import NatsLeases
from flunq.log.nats.streams import (
    blobs_bucket,
    blobs_stream,
    destroy,
    drift,
    ensure,
    shared_buckets,
    shared_streams,
)

if TYPE_CHECKING:
    from flunq.core.capacity import Capacity
    from flunq.log.select import StreamSettings


class NatsDatabase:
    """What all tenants share, and one tenant's blobs; its ports exist within ``async with``."""

    definitions: NatsKeyValue
    state: NatsKeyValue
    tenants: NatsKeyValue
    nodes: NatsKeyValue
    secrets: NatsKeyValue
    identity: NatsKeyValue
    blobs: NatsBlobs
    leases: NatsLeases

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self._blobs = blobs_bucket(settings.tenant)
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        settings = self.settings
        connection = Connection.shared(settings)
        await connection.acquire()
        self._connection = connection
        js = JetStream(connection)
        self.definitions = NatsKeyValue(js, "flunq_definitions")
        self.state = NatsKeyValue(js, "flunq_state")
        self.tenants = NatsKeyValue(js, "flunq_tenants")
        self.nodes = NatsKeyValue(js, "flunq_nodes")
        self.secrets = NatsKeyValue(js, "flunq_secrets")
        self.identity = NatsKeyValue(js, "flunq_identity")
        self.blobs = NatsBlobs(js, self._blobs)
        self.leases = NatsLeases(js, ttl=settings.lease_ttl, replicas=settings.replicas)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.release()

    async def ensure(self) -> None:
        """Create the buckets that are missing."""
        settings = self.settings
        configs = shared_buckets(settings.replicas, settings.lease_ttl, self._blobs)
        await ensure(self._js(), configs)

    async def destroy(self) -> None:
        """Delete the tenant's blobs."""
        await destroy(self._js(), [blobs_stream(self._blobs)])

    async def capacity(self, *, shared: bool) -> Capacity:
        """Say how full the tenant's blobs are, and the shared buckets of all tenants."""
        streams = {blobs_stream(self._blobs): "blobs"}
        return await capacity_of(self._js(), streams | (shared_streams() if shared else {}))

    async def drift(self) -> list[str]:
        """Say which buckets are missing or configured otherwise than declared."""
        settings = self.settings
        buckets = shared_buckets(settings.replicas, settings.lease_ttl, self._blobs)
        return await drift(self._js(), buckets)

    def _js(self) -> JetStream:
        assert self._connection is not None, "use it within `async with`"
        return JetStream(self._connection)
