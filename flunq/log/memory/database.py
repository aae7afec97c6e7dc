"""Buckets, blobs and leases on a :class:`MemoryBroker`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from flunq.core.capacity import Capacity, StreamUse
from flunq.log.memory.broker import MemoryBroker, Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from flunq.log.memory.bucket import MemoryBucket
    from flunq.log.ports import Entry
    from flunq.log.select import StreamSettings

_BUCKETS = ("definitions", "state", "tenants", "nodes", "secrets", "identity")


class _Port:
    def __init__(self, owner: MemoryDatabase, name: str) -> None:
        self._owner = owner
        self._broker = owner.broker
        self._name = name

    async def _do(self, verb: str, target: str, action: Callable[[], Any]) -> Any:
        operation = Operation(self._owner.settings.name, f"{self._name}.{verb}", target)
        return await self._broker.perform(operation, action)


class MemoryKeyValue(_Port):
    """One bucket in memory."""

    async def get(self, key: str) -> Entry | None:
        """Return the newest value."""
        entry: Entry | None = await self._do("get", key, lambda: self._bucket.get(key))
        return entry

    async def put(self, key: str, value: bytes) -> int:
        """Store unconditionally."""
        revision: int = await self._do("put", key, lambda: self._bucket.put(key, value))
        return revision

    async def swap(self, key: str, value: bytes, *, revision: int) -> int:
        """Store if the revision is still ``revision``."""
        new: int = await self._do("swap", key, lambda: self._bucket.swap(key, value, revision))
        return new

    async def delete(self, key: str) -> None:
        """Remove a key."""
        await self._do("delete", key, lambda: self._bucket.delete(key))

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that start with ``prefix``."""
        keys: list[str] = await self._do("keys", prefix, lambda: self._bucket.keys(prefix))
        return keys

    async def since(self, revision: int) -> list[Entry]:
        """Return what was put after a revision."""
        found: list[Entry] = await self._do(
            "since", str(revision), lambda: self._bucket.since(revision)
        )
        return found

    async def stamp(self) -> str:
        """Return what is another text after every change."""
        stamp: str = await self._do("stamp", "", lambda: self._bucket.stamp())
        return stamp

    async def scour(self) -> None:
        """Memory keeps nothing that was replaced or deleted."""

    @property
    def _bucket(self) -> MemoryBucket:
        return self._broker.bucket(self._name)


class MemoryBlobs(_Port):
    """Large values in memory."""

    async def put(self, key: str, data: bytes) -> None:
        """Store a value."""
        await self._do("put", key, lambda: self._kept.__setitem__(key, bytes(data)))

    async def get(self, key: str) -> bytes | None:
        """Return a value."""
        data: bytes | None = await self._do("get", key, lambda: self._kept.get(key))
        return data

    async def delete(self, key: str) -> None:
        """Remove a value."""
        await self._do("delete", key, lambda: self._kept.pop(key, None))

    async def erase(self, key: str) -> None:
        """Remove a value."""
        await self.delete(key)

    async def size(self) -> int:
        """Return how many bytes are stored."""
        size: int = await self._do("size", "", lambda: sum(map(len, self._kept.values())))
        return size

    @property
    def _kept(self) -> dict[str, bytes]:
        return self._broker.blobs_of(self._owner.settings.tenant)


class MemoryLeases(_Port):
    """Leases in memory; they expire by the loop's clock."""

    async def renew(self, name: str, value: bytes) -> None:
        """Create or renew a lease."""
        await self._do("renew", name, lambda: self._keep(name, value))

    async def release(self, name: str) -> None:
        """Give a lease up."""
        await self._do("release", name, lambda: self._drop(name))

    async def live(self) -> dict[str, bytes]:
        """Return all live leases."""
        live: dict[str, bytes] = await self._do("live", "", self._live)
        return live

    async def changes(self) -> AsyncIterator[None]:
        """Yield at the start and whenever the set of live leases changed."""
        seen: dict[str, bytes] | None = None
        while True:
            live = self._live()
            if live != seen:
                seen = live
                yield
                continue
            expiry = min((until for _, until in self._broker.leases.values()), default=None)
            await self._broker.leases_changed.wait(until=expiry)

    def _keep(self, name: str, value: bytes) -> None:
        until = asyncio.get_running_loop().time() + self._owner.settings.lease_ttl
        self._broker.leases[name] = (value, until)
        self._broker.leases_changed.notify()

    def _drop(self, name: str) -> None:
        self._broker.leases.pop(name, None)
        self._broker.leases_changed.notify()

    def _live(self) -> dict[str, bytes]:
        now = asyncio.get_running_loop().time()
        for name in [n for n, (_, until) in self._broker.leases.items() if until <= now]:
            del self._broker.leases[name]
        return {name: value for name, (value, _) in sorted(self._broker.leases.items())}


def _use_of(name: str, kind: str, values: Collection[bytes]) -> StreamUse:
    """Say how full something is of which nobody notes when it was written."""
    count, size = len(values), sum(map(len, values))
    return StreamUse(name=name, kind=kind, messages=count, bytes=size, subjects=count)


class MemoryDatabase:
    """Key-value buckets, blobs and leases, in memory."""

    def __init__(self, settings: StreamSettings, broker: MemoryBroker | None = None) -> None:
        self.settings = settings
        self.broker = broker or MemoryBroker.at(settings.url)
        self.definitions = MemoryKeyValue(self, "definitions")
        self.state = MemoryKeyValue(self, "state")
        self.tenants = MemoryKeyValue(self, "tenants")
        self.nodes = MemoryKeyValue(self, "nodes")
        self.secrets = MemoryKeyValue(self, "secrets")
        self.identity = MemoryKeyValue(self, "identity")
        self.blobs = MemoryBlobs(self, "blobs")
        self.leases = MemoryLeases(self, "leases")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return None

    async def ensure(self) -> None:
        """Create what is missing."""
        for bucket in _BUCKETS:
            self.broker.ensure_bucket(bucket)

    async def capacity(self, *, shared: bool) -> Capacity:
        """Say how full the tenant's blobs are, and the shared buckets of all tenants."""
        operation = Operation(self.settings.name, "database.capacity", self.settings.tenant)
        return await self.broker.perform(operation, lambda: Capacity(streams=self._look(shared)))

    def _look(self, shared: bool) -> list[StreamUse]:
        blobs = self.broker.blobs_of(self.settings.tenant)
        found = [_use_of(f"{self.settings.tenant}/blobs", "blobs", blobs.values())]
        if not shared:
            return found
        leases = [value for value, _ in self.broker.leases.values()]
        buckets = [each.use(name) for name, each in self.broker.buckets.items()]
        return [*found, *buckets, _use_of("leases", "leases", leases)]

    async def destroy(self) -> None:
        """Delete the tenant's blobs."""
        self.broker.blobs_of(self.settings.tenant).clear()
