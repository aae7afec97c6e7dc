"""Which partitions of a tenant this node runs: follows the leases, takes over, hands over."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from flunq.core.protocol import Reply, catalog_subject
from flunq.core.tenancy import TenantLoad
from flunq.services.assignment import assigned_nodes
from flunq.services.background import Background
from flunq.services.lasting import heard
from flunq.services.membership import LOOK_SECONDS, Membership
from flunq.services.worker.commit import FencedError
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.jobs import Job
from flunq.services.worker.partition import Partition
from flunq.services.worker.trimming import Trimmer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flunq.core.execution.commands import Report
    from flunq.services.assignment import NodeLease
    from flunq.services.catalog import Catalog
    from flunq.services.worker.context import WorkerContext

log = logging.getLogger(__name__)

ALONE_SECONDS = 10.0
"""How often a node that is alone, and has what it should have, looks whether that is still so."""


class PartitionManager:
    """Keeps the partitions of one tenant that fall to this node."""

    def __init__(self, context: WorkerContext, membership: Membership, catalog: Catalog) -> None:
        self.context = context
        self._membership = membership
        self._catalog = catalog
        self._lease_ttl = membership.ttl
        self._running: dict[int, tuple[Partition, asyncio.Task[None]]] = {}
        self._waiting_since: dict[int, float] = {}
        self._wanted: set[int] = set()
        self._nodes: list[str] = []
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._leaving = False

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self.context.settings.node

    def leases(self) -> Mapping[str, NodeLease]:
        """Return the live nodes as last seen."""
        return self._membership.live

    def partition(self, number: int) -> Partition | None:
        """Return a partition that this node serves right now."""
        found = self._running.get(number)
        return found[0] if found and found[0].owner is not None else None

    def partitions(self) -> Iterator[Partition]:
        """Return the partitions that this node serves right now."""
        return (each for each, _ in self._running.values() if each.owner is not None)

    def open_executions(self) -> int:
        """Return how many executions are open in the partitions that are served here."""
        owners = (partition.owner for partition in self.partitions())
        return sum(owner.executions.open() for owner in owners if owner is not None)

    def deliver(self, number: int, report: Report) -> bool:
        """Hand a report to a partition of this node; False if it is not here."""
        crash_point("before-report")
        partition = self.partition(number)
        if partition is None or partition.owner is None:
            return False

        def settle(_: Reply) -> None:
            self.context.dispatcher.reported(report.task)

        partition.owner.submit(Job(report, settle=settle))
        return True

    async def wait_ready(self) -> None:
        """Return once the first assignment is served."""
        await self._ready.wait()

    async def run(self) -> None:
        """Follow the leases until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(group))

    async def hand_over(self) -> None:
        """Give every partition up, in order."""
        self._leaving = True
        self._wanted = set()
        partitions = list(self._running.values())
        for partition, _ in partitions:
            partition.stop()
        if partitions:
            await asyncio.wait([task for _, task in partitions], timeout=self._lease_ttl)

    # -- leases ----------------------------------------------------------------------------------

    def load(self) -> TenantLoad:
        """Say what this node has of the tenant."""
        counts = self.context.quota.counts_executions
        return TenantLoad(
            partitions=sorted(self._running), open=self.open_executions() if counts else 0
        )

    def renewed(self) -> None:
        """Send again what nobody confirmed."""
        self.context.dispatcher.report_again()

    def wake(self) -> None:
        """Look at the leases again."""
        self._changed.set()

    def note_lapse(self) -> None:
        """Others may have taken our partitions over: find out, also where nothing happens."""
        self.context.lapses += 1
        for partition, _ in self._running.values():
            if partition.owner is not None:
                partition.owner.spawn(partition.is_certain(partition.owner))

    # -- partitions ------------------------------------------------------------------------------

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        while not self._leaving:
            # One look is enough for all tenants of this node that have what they should have.
            calm = self._calm() if self._is_settled() else LOOK_SECONDS
            await self._membership.look(within=calm)
            self._assign()
            self._settle(group)
            # A node may well own nothing: more nodes than partitions, or an executor alone.
            if all(self.partition(n) for n in self._wanted):
                self._ready.set()
            await heard(self._changed, within=self._pause())
            self._changed.clear()

    def _calm(self) -> float:
        """A node that is alone has nobody to miss; whoever comes is heard at once."""
        return self._lease_ttl if self._is_alone() else self._lease_ttl / 4

    def _pause(self) -> float:
        if not self._is_settled():
            return 0.02
        return ALONE_SECONDS if self._is_alone() else self._lease_ttl / 3

    def _is_alone(self) -> bool:
        return len(self._membership.live) == 1

    def _is_settled(self) -> bool:
        return self._wanted == set(self._running) and all(self.partition(n) for n in self._wanted)

    def _assign(self) -> None:
        settings = self.context.settings
        nodes = self._membership.serving(settings.tenant)
        if nodes == self._nodes:
            return
        self._nodes = nodes
        owners = assigned_nodes(settings.tenant, settings.partitions, nodes)
        self._wanted = {number for number, node in enumerate(owners) if node == settings.node}

    def _settle(self, group: asyncio.TaskGroup) -> None:
        for number, (partition, task) in list(self._running.items()):
            if task.done():
                del self._running[number]
            elif number not in self._wanted:
                partition.stop()
        for number in self._wanted - set(self._running):
            if self._may_take(number):
                partition = Partition(self.context, number)
                task = group.create_task(self._run_partition(partition))
                self._running[number] = (partition, task)

    def _may_take(self, number: int) -> bool:
        """Give a live owner the time to hand over before fencing it off."""
        now = asyncio.get_running_loop().time()
        mine, tenant = self.context.settings.node, self.context.settings.tenant
        held = any(
            number in lease.tenants[tenant].partitions
            for node, lease in self.leases().items()
            if node != mine and tenant in lease.tenants
        )
        if not held:
            self._waiting_since.pop(number, None)
            return True
        since = self._waiting_since.setdefault(number, now)
        if now - since > self.context.settings.handover_seconds:
            self._waiting_since.pop(number, None)
            return True
        return False

    async def _run_partition(self, partition: Partition) -> None:
        number = partition.number
        try:
            async with AsyncExitStack() as stack:
                if number == 0:
                    group = await stack.enter_async_context(Background())
                    group.run(Trimmer(self.context).run())
                    group.run(self._catalog.keeper.run())
                    tenant = self.context.settings.tenant
                    await stack.enter_async_context(
                        self.context.stream.requests.serve(
                            catalog_subject(tenant), self._catalog.answer
                        )
                    )
                await partition.run(lambda: number in self._wanted, self._changed.set)
        except FencedError as error:
            log.warning("%s", error)
            # Jitter keeps two claimants from meeting again and again.
            await asyncio.sleep(0.05 + random.random() * 0.2)  # noqa: S311 - only spreads retries
        finally:
            self._running.pop(number, None)
            self._changed.set()
            if not self._leaving:
                await self._membership.put()
