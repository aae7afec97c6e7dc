"""Who else is alive, as a process sees it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from flunq.core.tenancy import TenantLoad
from flunq.log.memory.broker import MemoryBroker
from flunq.log.memory.database import MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.assignment import NodeLease
from flunq.services.background import Background
from flunq.services.membership import Membership

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import Leases


class SlowLeases:
    """Answers who is alive with what was true when it was asked, once it may."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def renew(self, name: str, value: bytes) -> None:
        await self._leases.renew(name, value)

    async def release(self, name: str) -> None:
        await self._leases.release(name)

    async def live(self) -> dict[str, bytes]:
        found = await self._leases.live()
        self.asked.set()
        await self.may_answer.wait()
        return found

    def changes(self) -> AsyncIterator[None]:
        return self._leases.changes()


class Listener:
    """A member that notes when it is told to look again."""

    def __init__(self) -> None:
        self.context: Any = SimpleNamespace(certain_until=0.0)
        self.woken = asyncio.Event()

    def load(self) -> TenantLoad:
        return TenantLoad()

    def wake(self) -> None:
        self.woken.set()

    def note_lapse(self) -> None:
        raise AssertionError("nothing lapsed")

    def renewed(self) -> None:
        """Nothing is to be done with a renewal."""


async def test_a_node_that_comes_during_a_look_is_seen_by_the_next() -> None:
    leases = MemoryDatabase(StreamSettings(lease_ttl=60), MemoryBroker()).leases
    slow, listener = SlowLeases(leases), Listener()
    membership = Membership(cast("Leases", slow), "first", NodeLease(incarnation="1"), ttl=60)
    membership.join("default", listener)
    await membership.put()
    async with Background() as background:
        background.run(membership.run())
        await listener.woken.wait()
        looking = asyncio.create_task(membership.look())
        await slow.asked.wait()
        listener.woken.clear()
        await leases.renew("second", msgspec.json.encode(NodeLease(incarnation="1")))
        await listener.woken.wait()
        slow.may_answer.set()
        await looking
        await membership.look(within=60)
        assert set(membership.live) == {"first", "second"}
