"""What a control process does for tenants ends with them, and does not begin once more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.core.tenancy import READY, TENANTS_CHANGED, TenantRecord
from flunq.log.memory import MemoryBroker, MemoryDatabase, MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.tenants.records import TenantRecords
from flunq.services.tenants.roles import TenantRoles
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from flunq.services.lasting import Role


async def test_a_tenant_that_is_deleted_while_another_is_left_does_not_begin_again() -> None:
    settings, broker = StreamSettings(url="memory://roles"), MemoryBroker()
    begun: list[str] = []
    leaving, may_end = asyncio.Event(), asyncio.Event()

    def roles_of(record: TenantRecord) -> list[Role]:
        async def role(stop: asyncio.Event) -> None:
            begun.append(record.name)
            await stop.wait()
            if record.name == "slow":
                leaving.set()
                await may_end.wait()

        return [role]

    async with (
        MemoryEventStream(settings, broker) as stream,
        MemoryDatabase(settings, broker) as db,
    ):
        await stream.ensure(1)
        await db.ensure()
        records = TenantRecords(db.tenants)
        roles = TenantRoles(records, stream.requests, home="default", roles_of=roles_of)

        async def ready(name: str) -> None:
            await records.add(TenantRecord(name=name, partitions=1, state=READY))
            await stream.requests.notify(TENANTS_CHANGED, b"")
            await eventually(lambda: name in begun)

        async def gone(name: str) -> None:
            await records.remove(name)
            await stream.requests.notify(TENANTS_CHANGED, b"")

        stop = asyncio.Event()
        following = asyncio.create_task(roles.run(stop))
        await ready("slow")
        await ready("other")
        await gone("slow")
        await leaving.wait()
        await roles.leave("other")
        await gone("other")
        may_end.set()
        await ready("third")
        stop.set()
        await following
    assert begun == ["slow", "other", "third"]
