"""The tenants as a role of a control process: connected, and gone with its connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.log.select import database
from flunq.services.identity.audited import AuditedStream
from flunq.services.lasting import while_connected
from flunq.services.tenants.access import Servers
from flunq.services.tenants.founding import founded
from flunq.services.tenants.keeper import TenantKeeper
from flunq.services.tenants.records import TenantRecords
from flunq.services.tenants.roles import TenantRoles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flunq.core.tenancy import TenantRecord
    from flunq.log.select import StreamSettings
    from flunq.services.lasting import Role


async def run_tenants(
    home: TenantRecord,
    connection: StreamSettings,
    *,
    data_dir: str | None,
    roles_of: Callable[[TenantRecord], Sequence[Role]],
    stop: asyncio.Event,
) -> None:
    """Tend the tenants until told to stop; raises ConnectionError when the connection is lost."""
    async with AuditedStream(connection) as stream, database(connection) as store:
        await stream.ensure(home.partitions)
        await store.ensure()
        await founded(TenantRecords(store.tenants), stream.journal, home)
        keeper = TenantKeeper(
            home, connection, store, stream.requests, Servers(data_dir), data_dir=data_dir
        )
        roles = TenantRoles(keeper.records, stream.requests, home=home.name, roles_of=roles_of)
        keeper.lifecycle.before_deleting(roles.leave)
        ends = asyncio.Event()
        working = [
            asyncio.create_task(keeper.run(ends)),
            asyncio.create_task(roles.run(ends)),
        ]
        try:
            await while_connected(stream, _one_ends(working, stop))
        finally:
            ends.set()
            outcomes = await asyncio.gather(*working, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome


async def _one_ends(working: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([*working, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
