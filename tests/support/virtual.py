"""A cluster in virtual time for tests of one situation: deterministic, and nothing ever waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from flunq.client.client import Client
from flunq.log.memory import MemoryDatabase, MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.testing.clock import VirtualClock, VirtualLoop, run_virtually
from flunq.testing.cluster import Cluster, Shape
from flunq.testing.faults import Wire
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.services.worker.owner import Owner

T = TypeVar("T")
Situation = Callable[[Cluster, Client], Awaitable[T]]
HEAD = "document: {dsl: 1.0.3, namespace: test, name: %s, version: 1.0.0}\n"


def in_cluster(situation: Situation[T], **shape: Any) -> T:
    """Run a situation on a cluster of its own; return what it returns."""
    loop = VirtualLoop(patience=400_000)
    clock = VirtualClock(loop)
    wire = Wire(loop, clock.now, Random(7))
    cluster = Cluster(loop, wire, Shape(**{"machines": 1, "partitions": 1, **shape}), 7)

    async def run() -> T:
        await cluster.prepare()
        for number in range(cluster.shape.machines):
            cluster.add(f"m{number}")
        async with client_of(cluster) as client:
            await settled(cluster)
            return await situation(cluster, client)

    return run_virtually(run(), loop)


async def settled(cluster: Cluster) -> None:
    """Wait until every partition has an owner, if there are nodes."""
    partitions = range(cluster.shape.partitions)
    while cluster.machines and not all(_owner(cluster, number) for number in partitions):
        await elapse(0.01)


def client_of(cluster: Cluster) -> Client:
    """Return a client of the cluster."""
    return Client(stream_of(cluster))


def stream_of(cluster: Cluster) -> MemoryEventStream:
    """Return another connection to the cluster's broker."""
    settings = StreamSettings(url="memory://simulation", name="test", ack_wait=5.0)
    return MemoryEventStream(settings, cluster.wire)


def store_of(cluster: Cluster) -> MemoryDatabase:
    """Return another connection to the cluster's store."""
    return MemoryDatabase(StreamSettings(url="memory://simulation", name="test"), cluster.wire)


def owner_of(cluster: Cluster, partition: int = 0) -> Owner:
    """Return the owner of a partition, wherever it is."""
    found = _owner(cluster, partition)
    assert found is not None, f"nobody owns partition {partition}"
    return found


def _owner(cluster: Cluster, partition: int) -> Owner | None:
    for machine in cluster.machines.values():
        if machine.is_up and machine.node is not None and machine.node.manager is not None:
            found = machine.node.manager.partition(partition)
            if found is not None and found.owner is not None:
                return found.owner
    return None
