"""The node: owners of partitions and executors in one process, so that tasks stay in memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import msgspec

from flunq.core.ids import partition_of
from flunq.core.protocol import ClusterInfo, changed_subject, node_subject, secrets_subject
from flunq.core.retention import retention_for
from flunq.engines.jq_process import JqPool
from flunq.log.select import StreamSettings, database, event_stream
from flunq.sdk.context import ExecutorContext, ExecutorSettings
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.secrets import EnvironmentSecrets
from flunq.services.assignment import NodeLease
from flunq.services.catalog import Catalog
from flunq.services.clock import Clock, SystemClock
from flunq.services.contents import Contents
from flunq.services.courier import Courier
from flunq.services.dispatcher import NodeDispatcher
from flunq.services.executor.hosting import load_executors
from flunq.services.executor.pool import ExecutorPool
from flunq.services.executor.remote import RemoteExecutor
from flunq.services.executor.suspects import Suspects
from flunq.services.manager import PartitionManager
from flunq.services.schedules.keeper import ScheduleKeeper
from flunq.services.vault import Vault, VaultSecrets
from flunq.services.worker.context import WorkerContext, WorkerSettings
from flunq.services.worker.definitions import Definitions
from flunq.services.worker.scrubbing import Scrubber

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.execution.commands import Report
    from flunq.core.expressions.engine import ExpressionEngine
    from flunq.log.ports import Database, EventStream

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
    )
    async with event_stream(stream_settings) as stream, database(stream_settings) as store:
        await stream.ensure(settings.partitions)
        await store.ensure()

        def begin() -> None:
            _collect_rarely()
            ready()

        await Node(settings, stream, store, SystemClock()).run(begin, stop)


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
    """One node on connected backends."""

    def __init__(
        self,
        settings: NodeSettings,
        stream: EventStream,
        store: Database,
        clock: Clock,
        *,
        incarnation: str | None = None,
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.store = store
        self.clock = clock
        self.incarnation = incarnation or uuid4().hex[:12]
        self.manager: PartitionManager | None = None
        self._vault = Vault(store.secrets, settings.tenant, settings.secrets_key, clock)
        self._secrets = VaultSecrets(self._vault, EnvironmentSecrets())
        self._courier = Courier(
            stream=stream,
            tenant=settings.tenant,
            partitions=settings.partitions,
            blobs=store.blobs,
        )

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        settings = self.settings
        executors = load_executors(settings.functions) if "executor" in settings.roles else []
        contents = Contents(self.store.blobs)
        context = ExecutorContext(
            _executor_settings(settings), secrets=self._secrets, bundled=contents.read
        )
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
            await self._secrets.load()
            await self.serve(pool, engine, ready, stop)

    async def serve(
        self,
        pool: ExecutorPool,
        engine: ExpressionEngine,
        ready: Callable[[], None],
        stop: asyncio.Event,
    ) -> None:
        """Serve with executors and an expression engine that are running already."""
        settings = self.settings
        definitions = Definitions(
            self.store.definitions, settings.tenant, self.clock, self.store.blobs
        )
        dispatcher = NodeDispatcher(
            node=settings.node,
            incarnation=self.incarnation,
            tenant=settings.tenant,
            pool=pool,
            stream=self.stream,
            blobs=self.store.blobs,
            capacity=settings.capacity,
            leases=lambda: self.manager.live if self.manager else {},
            route=self._route,
        )
        context = WorkerContext(
            self._worker_settings(),
            stream=self.stream,
            database=self.store,
            clock=self.clock,
            definitions=definitions,
            dispatcher=dispatcher,
            engine=engine,
            courier=self._courier,
        )
        self.manager = manager = self._manager(context, definitions, pool)
        requests = self.stream.requests
        remote = self._remote(pool)

        async def held(asked: bytes) -> bytes:
            return msgspec.json.encode(dispatcher.held(msgspec.json.decode(asked, type=list[str])))

        async with (
            requests.listen(changed_subject(settings.tenant), lambda _: definitions.forget_names()),
            requests.listen(secrets_subject(settings.tenant), lambda _: self._secrets.refresh()),
            requests.serve(node_subject(settings.node, "held"), held),
            asyncio.TaskGroup() as group,
        ):
            loops = [group.create_task(manager.run()), group.create_task(self._watch_connection())]
            if pool.kinds:
                loops.append(group.create_task(remote.run(settings.tenant)))
            await manager.wait_ready()
            ready()
            await stop.wait()
            await self._leave(manager, dispatcher, remote)
            for task in loops:
                task.cancel()

    def _remote(self, pool: ExecutorPool) -> RemoteExecutor:
        folder = self.settings.data_dir
        return RemoteExecutor(
            pool,
            self.stream,
            self._courier,
            blobs=self.store.blobs,
            clock=self.clock,
            suspects=Suspects(Path(folder) / f"run/{self.settings.node}.suspects")
            if folder is not None
            else None,
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
            retention=retention_for(settings.retention_after, settings.retention_keep),
            retention_seconds=settings.retention_seconds,
        )

    def _manager(
        self, context: WorkerContext, definitions: Definitions, pool: ExecutorPool
    ) -> PartitionManager:
        settings = self.settings
        lease = NodeLease(
            incarnation=self.incarnation,
            tenant=settings.tenant,
            kinds=list(pool.kinds),
            roles=list(settings.roles),
            capacity=settings.capacity,
            started_at=self.clock.now(),
            pid=os.getpid(),
        )
        catalog = Catalog(
            settings.tenant,
            stream=self.stream,
            database=self.store,
            definitions=definitions,
            vault=self._vault,
            clock=self.clock,
            info=ClusterInfo(
                tenant=settings.tenant,
                partitions=settings.partitions,
                node=settings.node,
                version=VERSION,
            ),
            keeper=self._keeper(context, definitions),
            scrubber=Scrubber(context),
        )
        return PartitionManager(
            context, self.store.leases, lease, catalog, lease_ttl=settings.lease_ttl
        )

    def _keeper(self, context: WorkerContext, definitions: Definitions) -> ScheduleKeeper:
        return ScheduleKeeper(
            self.settings.tenant,
            self.settings.partitions,
            stream=self.stream,
            database=self.store,
            definitions=definitions,
            clock=self.clock,
            engine=context.engine,
            runtime={"name": "flunq", "version": VERSION, "metadata": {}},
        )

    def _route(self, report: Report) -> None:
        """Bring a local outcome to whoever owns the execution now."""
        number = partition_of(report.id, self.settings.partitions)
        manager = self.manager
        if manager is None or not manager.deliver(number, report):
            self._courier.send(report, self._reported)

    def _reported(self, report: Report) -> None:
        if self.manager is not None:
            self.manager.context.dispatcher.reported(report.task)

    async def _watch_connection(self) -> None:
        reason = await self.stream.wait_lost()
        raise ConnectionError(reason)

    async def _leave(
        self, manager: PartitionManager, dispatcher: NodeDispatcher, remote: RemoteExecutor
    ) -> None:
        """Finish what runs, then hand the partitions over."""
        patience = self.settings.drain_timeout / 4
        try:
            # Without the broker nothing of this comes to an end; the next owner needs none of it.
            async with asyncio.timeout(self.settings.drain_timeout):
                await remote.drain(patience)
                await dispatcher.drain(patience)
                await self._courier.flush(patience)
                await manager.leave()
        except TimeoutError:
            log.warning("%s leaves without a hand-over: the broker does not answer", manager.name)
