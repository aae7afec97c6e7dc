"""This process among the others: its lease, and who else is alive."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Protocol

import msgspec

from flunq.log.beat import sleep_to_beat
from flunq.log.ports import OutcomeUnknownError
from flunq.services.assignment import NodeLease

if TYPE_CHECKING:
    from flunq.core.tenancy import TenantLoad
    from flunq.log.ports import Leases
    from flunq.services.worker.context import WorkerContext

log = logging.getLogger(__name__)

_lease_decoder = msgspec.json.Decoder(NodeLease)
LOOK_SECONDS = 0.015
"""What was seen so shortly ago need not be asked again: many tenants look at the same time."""


class Member(Protocol):
    """What serves one tenant in this process."""

    context: WorkerContext

    def load(self) -> TenantLoad:
        """Say what this process has of the tenant."""
        ...

    def note_lapse(self) -> None:
        """Find out whether others took partitions over."""
        ...

    def wake(self) -> None:
        """Look at the leases again."""
        ...

    def renewed(self) -> None:
        """Do what is to be done with each renewal."""
        ...


class Membership:
    """Keeps the lease of a process for all tenants that it serves."""

    def __init__(self, leases: Leases, node: str, lease: NodeLease, *, ttl: float) -> None:
        self.node = node
        self.lease = lease
        self.ttl = ttl
        self.live: dict[str, NodeLease] = {}
        self._leases = leases
        self._members: dict[str, Member] = {}
        self._looked = -math.inf
        self._looking = asyncio.Lock()
        self._certain_until = math.inf

    def join(self, tenant: str, member: Member) -> None:
        """Serve a tenant from now on."""
        member.context.certain_until = self._certain_until
        self._members[tenant] = member
        self.lease.tenants[tenant] = member.load()

    def part(self, tenant: str) -> None:
        """Serve a tenant no longer."""
        self._members.pop(tenant, None)
        self.lease.tenants.pop(tenant, None)

    def serving(self, tenant: str) -> list[str]:
        """Return the nodes that may own partitions of a tenant."""
        return [
            node
            for node, lease in self.live.items()
            if not lease.leaving and "worker" in lease.roles and tenant in lease.tenants
        ]

    async def run(self) -> None:
        """Keep the lease until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew())
                group.create_task(self._watch())
        finally:
            self.live = {}

    async def announce_leaving(self) -> None:
        """Let others prepare to take over."""
        self.lease.leaving = True
        await self.put()

    async def release(self) -> None:
        """Give the lease up."""
        try:
            await self._leases.release(self.node)
        except OutcomeUnknownError as error:
            log.warning("the lease of %s expires by itself: %s", self.node, error)

    async def put(self) -> None:
        """Renew the lease with what is true now."""
        for tenant, member in self._members.items():
            self.lease.tenants[tenant] = member.load()
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            await self._leases.renew(self.node, msgspec.json.encode(self.lease))
        except OutcomeUnknownError as error:
            log.warning("the lease of %s was not renewed: %s", self.node, error)
            return
        if loop.time() > self._certain_until:
            self._note_lapse()
        self._certain_until = asked + self.ttl
        for member in self._members.values():
            member.context.certain_until = self._certain_until

    async def look(self, *, within: float = LOOK_SECONDS) -> None:
        """See who is alive; what was seen ``within`` so many seconds is good enough."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now - self._looked >= within:
                # Before, not after: whoever comes meanwhile may be missing in what is seen.
                self._looked = now
                await self._look()

    async def _look(self) -> None:
        try:
            found = await self._leases.live()
        except OutcomeUnknownError:
            return
        if self.node not in found and self._certain_until < math.inf:
            self._note_lapse()
        live: dict[str, NodeLease] = {}
        for node, value in found.items():
            try:
                live[node] = _lease_decoder.decode(value)
            except msgspec.MsgspecError:
                log.warning("the lease of node %s is not readable", node)
        live[self.node] = self.lease
        self.live = live

    async def _renew(self) -> None:
        while not self.lease.leaving:
            await self.put()
            await sleep_to_beat(self.ttl / 3)
            for member in list(self._members.values()):
                member.renewed()

    async def _watch(self) -> None:
        async for _ in self._leases.changes():
            self._looked = -math.inf
            for member in list(self._members.values()):
                member.wake()

    def _note_lapse(self) -> None:
        for member in self._members.values():
            member.note_lapse()
