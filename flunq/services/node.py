"""The node: owners of partitions and executors in one process, so that tasks stay in memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import msgspec

from flunq.core.protocol import node_subject
from flunq.core.retention import retention_for
from flunq.core.tenancy import TenantRecord
from flunq.engines.jq_process import JqPool
from flunq.log.select import StreamSettings, calm_seconds, database, event_stream
from flunq.sdk.context import ExecutorContext, ExecutorSettings
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.secrets import EnvironmentSecrets
from flunq.services.assignment import NodeLease
from flunq.services.clock import Clock, SystemClock
from flunq.services.executor.hosting import load_executors
from flunq.services.executor.pool import ExecutorPool
from flunq.services.executor.shares import PoolShares
from flunq.services.executor.suspects import Suspects
from flunq.services.membership import Membership
from flunq.services.tenants.founding import founded
from flunq.services.tenants.hosting import OtherTenants
from flunq.services.tenants.records import TenantRecords
from flunq.services.tenants.runtime import Host, TenantParts, TenantRuntime
from flunq.services.tenants.usage import memory_bytes, node_view
from flunq.services.worker.context import WorkerSettings
from flunq.telemetry.catalog import describe_process, gauge
from flunq.telemetry.metrics import registry
from flunq.telemetry.otlp import trace_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from flunq.core.expressions.engine import ExpressionEngine
    from flunq.log.ports import Database, EventStream
    from flunq.services.manager import PartitionManager

log = logging.getLogger(__name__)

VERSION = version("flunq")


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node process is started with."""

    nats_url: str
    user: str | None = None
    password: str | None = None
    tenant: str = "default"
    partitions: int = 8
    node: str = "node-1"
    functions: tuple[str, ...] = ()
    capacity: int = 256
    durability: Literal["strict", "fast"] = "strict"
    replicas: int = 1
    data_dir: str | None = None
    roles: tuple[str, ...] = ("worker", "executor")
    profile: Literal["development", "production"] = "production"
    programs: bool | None = None
    """Whether local programs may run; None: as the profile says."""
    program_memory: int = 4 << 30
    secrets_key: str = ""
    """Opens the vault; empty: this node knows no secrets but those of its environment."""
    proof: str = ""
    """Tells requests of the cluster's own API, which keeps the audit of them itself."""
    lease_ttl: float = 3.0
    drain_timeout: float = 10.0
    blob_threshold: int = 256 * 1024
    checkpoint_seconds: float = 10.0
    hibernate_seconds: float = 5.0
    trim_seconds: float = 30.0
    retention_after: float | None = None
    """Seconds that ended executions are kept; None: for ever. Workflows may say otherwise."""
    retention_keep: int | None = None
    retention_seconds: float = 30.0


async def run_node(settings: NodeSettings, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Run a node until ``stop`` is set; then drain and hand over."""
    stream_settings = StreamSettings(
        url=settings.nats_url,
        tenant=settings.tenant,
        user=settings.user,
        password=settings.password,
        replicas=settings.replicas,
        durability=settings.durability,
        name=settings.node,
        lease_ttl=settings.lease_ttl,
        calm_seconds=calm_seconds(settings.nats_url),
    )
    async with event_stream(stream_settings) as stream, database(stream_settings) as store:
        await stream.ensure(settings.partitions)
        await store.ensure()

        def begin() -> None:
            _collect_rarely()
            ready()

        # An execution stays in its partition: the number is that of the beginning, for ever.
        home = TenantRecord(
            name=settings.tenant, partitions=settings.partitions, replicas=settings.replicas
        )
        recorded = await founded(TenantRecords(store.tenants), stream.journal, home)
        settings = msgspec.structs.replace(settings, partitions=recorded.partitions)
        node = Node(settings, stream, store, SystemClock(), connection=stream_settings)
        await node.run(begin, stop)


def _collect_rarely() -> None:
    """Make the garbage collector look less often: hardly anything here is part of a cycle.

    At its default it takes a sixth of the time, looking again and again at what lives on.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _executor_settings(settings: NodeSettings) -> ExecutorSettings:
    programs = settings.programs
    return ExecutorSettings(
        egress=EgressPolicy.of_profile(settings.profile),
        programs=settings.profile == "development" if programs is None else programs,
        program_memory=settings.program_memory,
    )


class Node:
    """One node on connected backends.

    It serves the tenant of its settings, and with a ``connection`` all others that there are.
    """

    def __init__(
        self,
        settings: NodeSettings,
        stream: EventStream,
        store: Database,
        clock: Clock,
        *,
        incarnation: str | None = None,
        connection: StreamSettings | None = None,
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.store = store
        self.clock = clock
        self.incarnation = incarnation or uuid4().hex[:12]
        self.home: TenantRuntime | None = None
        self._connection = connection
        self._others: OtherTenants | None = None

    @property
    def manager(self) -> PartitionManager | None:
        """The partitions of the tenant of the settings."""
        return self.home.manager if self.home is not None else None

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        settings = self.settings
        executors = load_executors(settings.functions) if "executor" in settings.roles else []
        # The calls of a tenant see a context of its own; this one starts the executors.
        context = ExecutorContext(_executor_settings(settings))
        async with (
            JqPool() as engine,
            ExecutorPool(
                executors,
                capacity=settings.capacity,
                context=context,
                node=settings.node,
                clock=self.clock,
            ) as pool,
        ):
            context.engine = engine
            await self.serve(pool, engine, ready, stop)

    async def serve(
        self,
        pool: ExecutorPool,
        engine: ExpressionEngine,
        ready: Callable[[], None],
        stop: asyncio.Event,
    ) -> None:
        """Serve with executors and an expression engine that are running already."""
        host = self._host(pool, engine)
        self.home = home = TenantRuntime(host, self._home_parts())
        if self.settings.secrets_key:
            await home.secrets.load()
        async with AsyncExitStack() as stack:
            if self._connection is not None:
                self._others = self._other_tenants(host, self._connection)
                await stack.enter_async_context(self._described(host))
                await stack.enter_async_context(self._measured(host))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            works = [host.membership.run(), home.run(), self._watch_connection()]
            if self._others is not None:
                works.append(self._others.run())
            loops = [group.create_task(work) for work in works]
            await home.manager.wait_ready()
            ready()
            await stop.wait()
            await self._leave(host.membership)
            for task in loops:
                task.cancel()

    def _host(self, pool: ExecutorPool, engine: ExpressionEngine) -> Host:
        settings = self.settings
        lease = NodeLease(
            incarnation=self.incarnation,
            kinds=list(pool.kinds),
            roles=list(settings.roles),
            capacity=settings.capacity,
            started_at=self.clock.now(),
            pid=os.getpid(),
        )
        return Host(
            membership=Membership(self.store.leases, settings.node, lease, ttl=settings.lease_ttl),
            shares=PoolShares(pool),
            engine=engine,
            clock=self.clock,
            executors=_executor_settings(settings),
            version=VERSION,
            secrets_key=settings.secrets_key,
            proof=settings.proof if self._connection is not None else None,
        )

    def _home_parts(self) -> TenantParts:
        folder = self.settings.data_dir
        return TenantParts(
            stream=self.stream,
            store=self.store,
            settings=self._worker_settings(),
            secrets=EnvironmentSecrets(),
            is_first=True,
            suspects=Suspects(Path(folder) / f"run/{self.settings.node}.suspects")
            if folder is not None
            else None,
        )

    def _other_tenants(self, host: Host, connection: StreamSettings) -> OtherTenants:
        folder = self.settings.data_dir
        return OtherTenants(
            host,
            connection,
            self.store,
            self.stream.requests,
            home=self.home,
            settings=self._worker_settings(),
            suspects=None if folder is None else Path(folder) / "run",
        )

    def _worker_settings(self) -> WorkerSettings:
        settings = self.settings
        return WorkerSettings(
            tenant=settings.tenant,
            partitions=settings.partitions,
            node=settings.node,
            incarnation=self.incarnation,
            blob_threshold=settings.blob_threshold,
            checkpoint_seconds=settings.checkpoint_seconds,
            hibernate_seconds=settings.hibernate_seconds,
            trim_seconds=settings.trim_seconds,
            tracing=trace_settings(os.environ) is not None,
            retention=retention_for(settings.retention_after, settings.retention_keep),
            retention_seconds=settings.retention_seconds,
        )

    def _described(self, host: Host) -> AbstractAsyncContextManager[None]:
        """Answer whoever wants to know how this node is."""

        async def answer(_: bytes) -> bytes:
            runtimes = [*([self.home] if self.home else []), *self._runtimes()]
            return msgspec.json.encode(node_view(host, runtimes))

        return self.stream.requests.serve(node_subject(self.settings.node, "state"), answer)

    def _measured(self, host: Host) -> AbstractAsyncContextManager[None]:
        """Answer with the metrics of this process: it has no port of its own."""
        describe_process("node", VERSION, memory_bytes)
        pool = host.shares.pool
        gauge("flunq_tasks_running").read_from(lambda: len(pool.running()))
        gauge("flunq_task_slots").read_from(lambda: pool.capacity)

        async def answer(_: bytes) -> bytes:
            for runtime in [*([self.home] if self.home else []), *self._runtimes()]:
                manager = runtime.manager
                gauge("flunq_executions_open", runtime.tenant).set(manager.open_executions())
                owned = len(manager.load().partitions)
                gauge("flunq_partitions_owned", runtime.tenant).set(owned)
            return registry.exposition().encode()

        return self.stream.requests.serve(node_subject(self.settings.node, "metrics"), answer)

    def _runtimes(self) -> list[TenantRuntime]:
        return list(self._others.runtimes()) if self._others is not None else []

    async def _watch_connection(self) -> None:
        reason = await self.stream.wait_lost()
        raise ConnectionError(reason)

    async def _leave(self, membership: Membership) -> None:
        """Finish what runs, then hand the partitions over."""
        assert self.home is not None
        patience = self.settings.drain_timeout / 4
        if self._others is not None:
            self._others.close()
        tenants = [self.home, *self._runtimes()]
        try:
            # Without the broker nothing of this comes to an end; the next owner needs none of it.
            async with asyncio.timeout(self.settings.drain_timeout):
                await asyncio.gather(*(tenant.drain(patience) for tenant in tenants))
                await membership.announce_leaving()
                await asyncio.gather(*(tenant.hand_over() for tenant in tenants))
                await membership.release()
        except TimeoutError:
            log.warning(
                "%s leaves without a hand-over: the broker does not answer", self.settings.node
            )
