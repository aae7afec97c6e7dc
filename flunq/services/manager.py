"""Which partitions this node runs: follows the leases, takes over and hands over."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from flunq.core.protocol import Reply, catalog_subject
from flunq.log.ports import Leases, OutcomeUnknownError
from flunq.services.assignment import NodeLease, assigned_node, role_name
from flunq.services.background import Background
from flunq.services.worker.commit import FencedError
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.jobs import Job
from flunq.services.worker.partition import Partition
from flunq.services.worker.trimming import Trimmer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.execution.commands import Report
    from flunq.services.catalog import Catalog
    from flunq.services.worker.context import WorkerContext

log = logging.getLogger(__name__)

_lease_decoder = msgspec.json.Decoder(NodeLease)


class PartitionManager:
    """Keeps this node's lease, and the partitions that fall to it."""

    def __init__(
        self,
        context: WorkerContext,
        leases: Leases,
        lease: NodeLease,
        catalog: Catalog,
        *,
        lease_ttl: float,
    ) -> None:
        self.context = context
        self.live: dict[str, NodeLease] = {}
        self._leases = leases
        self._lease = lease
        self._catalog = catalog
        self._lease_ttl = lease_ttl
        self._running: dict[int, tuple[Partition, asyncio.Task[None]]] = {}
        self._waiting_since: dict[int, float] = {}
        self._wanted: set[int] = set()
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._leaving = False

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self.context.settings.node

    def leases(self) -> Mapping[str, NodeLease]:
        """Return the live nodes as last seen."""
        return self.live

    def partition(self, number: int) -> Partition | None:
        """Return a partition that this node serves right now."""
        found = self._running.get(number)
        return found[0] if found and found[0].owner is not None else None

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
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew())
                group.create_task(self._watch())
                group.create_task(self._follow(group))
        finally:
            self.live = {}

    async def leave(self) -> None:
        """Hand every partition over and give the lease up."""
        self._leaving = True
        self._lease.leaving = True
        await self._put_lease()
        self._wanted = set()
        partitions = list(self._running.values())
        for partition, _ in partitions:
            partition.stop()
        if partitions:
            await asyncio.wait([task for _, task in partitions], timeout=self._lease_ttl)
        try:
            await self._leases.release(self.context.settings.node)
        except OutcomeUnknownError as error:
            log.warning("the lease of %s expires by itself: %s", self.context.settings.node, error)

    # -- leases ----------------------------------------------------------------------------------

    async def _renew(self) -> None:
        while not self._leaving:
            await self._put_lease()
            await asyncio.sleep(self._lease_ttl / 3)
            self.context.dispatcher.report_again()

    async def _put_lease(self) -> None:
        self._lease.partitions = sorted(self._running)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            await self._leases.renew(self.context.settings.node, msgspec.json.encode(self._lease))
        except OutcomeUnknownError as error:
            log.warning("the lease of %s was not renewed: %s", self.context.settings.node, error)
            return
        if loop.time() > self.context.certain_until:
            self._note_lapse()
        self.context.certain_until = asked + self._lease_ttl

    def _note_lapse(self) -> None:
        """Others may have taken our partitions over: find out, also where nothing happens."""
        self.context.lapses += 1
        for partition, _ in self._running.values():
            if partition.owner is not None:
                partition.owner.spawn(partition.is_certain(partition.owner))

    async def _watch(self) -> None:
        async for _ in self._leases.changes():
            self._changed.set()

    async def _look(self) -> None:
        try:
            found = await self._leases.live()
        except OutcomeUnknownError:
            return
        if self.context.settings.node not in found and self.context.certain_until < math.inf:
            self._note_lapse()
        live: dict[str, NodeLease] = {}
        for node, value in found.items():
            try:
                live[node] = _lease_decoder.decode(value)
            except msgspec.MsgspecError:
                log.warning("the lease of node %s is not readable", node)
        live[self.context.settings.node] = self._lease
        self.live = live

    # -- partitions ------------------------------------------------------------------------------

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        while not self._leaving:
            await self._look()
            self._assign()
            self._settle(group)
            # A node may well own nothing: more nodes than partitions, or an executor alone.
            if all(self.partition(n) for n in self._wanted):
                self._ready.set()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    def _pause(self) -> float:
        settled = self._wanted == set(self._running) and all(
            self.partition(n) for n in self._wanted
        )
        return self._lease_ttl / 3 if settled else 0.02

    def _assign(self) -> None:
        settings = self.context.settings
        nodes = [
            node
            for node, lease in self.live.items()
            if not lease.leaving and "worker" in lease.roles and lease.tenant == settings.tenant
        ]
        self._wanted = {
            number
            for number in range(settings.partitions)
            if assigned_node(role_name(settings.tenant, number, settings.partitions), nodes)
            == settings.node
        }

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
        mine = self.context.settings.node
        held = any(number in lease.partitions for node, lease in self.live.items() if node != mine)
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
                await self._put_lease()
