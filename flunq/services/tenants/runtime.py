"""What a node does for one tenant: its partitions, its catalog, its tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from flunq.core.ids import partition_of
from flunq.core.protocol import ClusterInfo, changed_subject, secrets_subject
from flunq.core.tenancy import Quotas
from flunq.log.ports import OutcomeUnknownError
from flunq.sdk.context import ExecutorContext
from flunq.services.catalog import Catalog
from flunq.services.contents import Contents
from flunq.services.courier import Courier
from flunq.services.dispatcher import NodeDispatcher, held_subject
from flunq.services.executor.remote import RemoteExecutor
from flunq.services.flow.board import FlowBoard
from flunq.services.flow.gate import FlowGate
from flunq.services.identity.audit import Audit
from flunq.services.identity.links import LinkSecrets, LinkSigner, own_links
from flunq.services.identity.watching import Watch, WatchedStream
from flunq.services.manager import PartitionManager
from flunq.services.schedules.keeper import ScheduleKeeper
from flunq.services.tenants.quota import Quota
from flunq.services.vault import Vault, VaultSecrets
from flunq.services.worker.context import WorkerContext, WorkerSettings
from flunq.services.worker.definitions import Definitions
from flunq.services.worker.scrubbing import Scrubber

if TYPE_CHECKING:
    from flunq.core.execution.commands import Report
    from flunq.core.expressions.engine import ExpressionEngine
    from flunq.log.ports import AuditTrail, Database, EventStream
    from flunq.sdk.context import ExecutorSettings
    from flunq.sdk.secrets import Secrets
    from flunq.services.clock import Clock
    from flunq.services.executor.shares import PoolShares
    from flunq.services.executor.suspects import Suspects
    from flunq.services.membership import Membership

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often a quota of bytes is compared with what is stored."""


class Host(NamedTuple):
    """What all tenants of a process share."""

    membership: Membership
    shares: PoolShares
    engine: ExpressionEngine
    clock: Clock
    executors: ExecutorSettings
    version: str
    secrets_key: str
    proof: str | None = None
    """Known to processes of the cluster alone; None: nothing is noted for the audit."""


class TenantParts(NamedTuple):
    """What belongs to one tenant alone."""

    stream: EventStream
    store: Database
    settings: WorkerSettings
    secrets: Secrets
    """Those beside the vault."""
    suspects: Suspects | None = None
    quotas: Quotas = Quotas()
    is_first: bool = False
    """Whether it is the tenant of whoever runs the cluster."""


class TenantRuntime:
    """One tenant on this node, from its first partition to the hand-over."""

    def __init__(self, host: Host, parts: TenantParts) -> None:
        self.settings = settings = parts.settings
        self.tenant = settings.tenant
        self.host = host
        self._audit = self._make_audit(parts.stream)
        self._links = LinkSigner(host.proof) if host.proof else None
        self._stream = stream = self._watched(parts.stream)
        self._store = store = parts.store
        self._vault = Vault(store.secrets, self.tenant, host.secrets_key, host.clock)
        self.secrets = VaultSecrets(self._vault, parts.secrets)
        self._courier = Courier(
            stream=stream, tenant=self.tenant, partitions=settings.partitions, blobs=store.blobs
        )
        share = host.shares.share(self.tenant, self._executor_context())
        board = FlowBoard(self.tenant, stream, store, host.clock, node=settings.node)
        self.gate = FlowGate(share, board)
        self.definitions = Definitions(store.definitions, self.tenant, host.clock, store.blobs)
        self.dispatcher = self._make_dispatcher()
        self.quota = Quota(parts.quotas, tenant=self.tenant)
        self._is_first = parts.is_first
        context = WorkerContext(
            settings,
            stream=stream,
            database=store,
            clock=host.clock,
            definitions=self.definitions,
            dispatcher=self.dispatcher,
            engine=host.engine,
            courier=self._courier,
            quota=self.quota,
        )
        self.manager = PartitionManager(context, host.membership, self._catalog(context))
        self.quota.count = self._count
        self.quota.part = lambda: max(len(self.manager.load().partitions), 1) / settings.partitions
        self._remote = RemoteExecutor(
            self.gate,
            stream,
            self._courier,
            blobs=store.blobs,
            clock=host.clock,
            suspects=parts.suspects,
        )
        host.membership.join(self.tenant, self.manager)

    async def run(self) -> None:
        """Serve until cancelled; ``drain`` and ``hand_over`` come first, if there is time."""
        requests = self._stream.requests
        tenant = self.tenant
        node = self.settings.node
        try:
            async with (
                requests.listen(changed_subject(tenant), lambda _: self.definitions.forget_names()),
                requests.listen(secrets_subject(tenant), lambda _: self.secrets.refresh()),
                requests.serve(held_subject(node, tenant), self._held),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self.manager.run())
                group.create_task(self._weigh())
                if self._audit is not None:
                    group.create_task(self._audit.run())
                if self.gate.kinds:
                    group.create_task(self.gate.run(self._stream))
                    group.create_task(self._remote.run(tenant))
        finally:
            self.close()

    def close(self) -> None:
        """Let the others have what this tenant had."""
        self.host.membership.part(self.tenant)
        self.host.shares.close(self.tenant)

    async def drain(self, patience: float) -> None:
        """Finish what runs; what was held back, others may begin."""
        waiting = self.gate.let_go()
        self._remote.let_go(waiting)
        self.dispatcher.let_go(waiting)
        await self._remote.drain(patience)
        await self.dispatcher.drain(patience)
        await self._courier.flush(patience)

    async def hand_over(self) -> None:
        """Give the partitions to other nodes."""
        await self.manager.hand_over()

    def _make_audit(self, stream: EventStream) -> Audit | None:
        if self.host.proof is None:
            return None

        async def trail(_: str) -> AuditTrail:
            return stream.audit

        return Audit(trail, clock=self._seconds, node=self.settings.node)

    def _watched(self, stream: EventStream) -> EventStream:
        audit, proof = self._audit, self.host.proof
        if audit is None or proof is None:
            return stream
        watch = Watch(audit, tenant=self.tenant, proof=proof, clock=self._seconds)
        return WatchedStream(stream, watch)

    def _seconds(self) -> float:
        return self.host.clock.now() / 1_000_000

    def _make_dispatcher(self) -> NodeDispatcher:
        settings = self.settings
        return NodeDispatcher(
            node=settings.node,
            incarnation=settings.incarnation,
            tenant=settings.tenant,
            pool=self.gate,
            stream=self._stream,
            blobs=self._store.blobs,
            capacity=self.host.shares.pool.capacity,
            leases=lambda: self.host.membership.live,
            route=self._route,
        )

    def _executor_context(self) -> ExecutorContext:
        """What the calls of this tenant see; its caches and connections are its own."""
        contents = Contents(self._store.blobs)
        return ExecutorContext(
            self.host.executors,
            secrets=self.secrets,
            bundled=contents.read,
            engine=self.host.engine,
            secrets_of=self._secrets_of,
        )

    def _secrets_of(self, execution: str) -> Secrets:
        """The tenant's secrets, and links by which people answer this execution."""
        if self._links is None:
            return self.secrets
        return LinkSecrets(self.secrets, self._links_of, execution)

    def _links_of(self, execution: str) -> dict[str, str]:
        assert self._links is not None
        return own_links(self._links, self.tenant, execution, self._seconds())

    def _catalog(self, context: WorkerContext) -> Catalog:
        settings = self.settings
        return Catalog(
            settings.tenant,
            stream=self._stream,
            database=self._store,
            definitions=self.definitions,
            vault=self._vault,
            clock=self.host.clock,
            info=ClusterInfo(
                tenant=settings.tenant,
                partitions=settings.partitions,
                node=settings.node,
                version=self.host.version,
            ),
            keeper=self._keeper(context),
            scrubber=Scrubber(context),
            quota=self.quota,
            is_first=self._is_first,
        )

    def _keeper(self, context: WorkerContext) -> ScheduleKeeper:
        return ScheduleKeeper(
            self.settings.tenant,
            self.settings.partitions,
            stream=self._stream,
            database=self._store,
            definitions=self.definitions,
            clock=self.host.clock,
            engine=context.engine,
            runtime={"name": "flunq", "version": self.host.version, "metadata": {}},
        )

    def _route(self, report: Report) -> None:
        """Bring a local outcome to whoever owns the execution now."""
        number = partition_of(report.id, self.settings.partitions)
        if not self.manager.deliver(number, report):
            self._courier.send(report, self._reported)

    def _reported(self, report: Report) -> None:
        self.dispatcher.reported(report.task)

    async def _held(self, asked: bytes) -> bytes:
        return msgspec.json.encode(self.dispatcher.held(msgspec.json.decode(asked, type=list[str])))

    def _count(self) -> int:
        elsewhere = (
            lease.tenants[self.tenant].open
            for node, lease in self.host.membership.live.items()
            if node != self.settings.node and self.tenant in lease.tenants
        )
        return self.manager.open_executions() + sum(elsewhere)

    async def _weigh(self) -> None:
        """Keep in mind what is stored, where that is limited."""
        while True:
            await self.quota.counts_bytes.wait()
            with contextlib.suppress(OutcomeUnknownError):  # what was seen last still counts
                extent = await self._stream.journal.extent()
                self.quota.used_bytes = extent.bytes + await self._store.blobs.size()
            await asyncio.sleep(LOOK_SECONDS)
