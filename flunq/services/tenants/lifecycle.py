"""How tenants come and go: step by step, each of which may be done again after a crash."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from flunq.core.ids import token
from flunq.core.tenancy import CREATING, DELETING, READY, TENANTS_CHANGED, Deleted
from flunq.errors import ConflictError, UnavailableError
from flunq.log.select import database, event_stream
from flunq.services.assignment import NodeLease
from flunq.services.identity.registry import Registry
from flunq.services.schedules.cell import keys_of
from flunq.services.tenants.records import check_name
from flunq.store.lake import lake_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flunq.core.tenancy import Access, TenantRecord
    from flunq.log.ports import Database, EventStream, KeyValue, Requests
    from flunq.log.select import StreamSettings
    from flunq.services.tenants.access import Servers
    from flunq.services.tenants.records import TenantRecords

log = logging.getLogger(__name__)

STREAMS = 7
"""What a tenant has of its own: the streams of its events, and the one of its large values."""
LEAVE_SECONDS = 20.0
LOOK_SECONDS = 0.1
LET_IN_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.02
_lease = msgspec.json.Decoder(NodeLease).decode


class TenantLifecycle:
    """Makes tenants and takes them away."""

    def __init__(
        self,
        records: TenantRecords,
        connection: StreamSettings,
        store: Database,
        requests: Requests,
        servers: Servers,
        *,
        home: str,
        data_dir: str | None,
    ) -> None:
        self._records = records
        self._connection = connection
        self._store = store
        self._requests = requests
        self._servers = servers
        self._home = home
        self._data_dir = data_dir
        self._busy = asyncio.Lock()
        """One after the other: half of one must not meet half of another."""
        self._leave: Callable[[str], Awaitable[None]] = _nothing

    def before_deleting(self, leave: Callable[[str], Awaitable[None]]) -> None:
        """Have something done here before anything of a tenant goes."""
        self._leave = leave

    async def create(self, wanted: TenantRecord) -> TenantRecord:
        """Make a tenant, or finish one that was half made."""
        check_name(wanted.name)
        async with self._busy:
            found = await self._records.add(wanted)
            if found.state != CREATING:
                raise ConflictError(
                    f"the tenant {wanted.name} "
                    + ("exists" if found.state == READY else "is being deleted"),
                    hint=f"flunq tenants show {wanted.name}",
                )
            return await self._build(found)

    async def delete(self, name: str) -> Deleted:
        """Take a tenant away with all it has."""
        if name == self._home:
            raise ConflictError(
                f"{name} is the tenant that the cluster was started for",
                hint="end the cluster and remove its data directory instead",
            )
        async with self._busy:
            await self._records.get(name)
            await self._records.change(name, lambda r: msgspec.structs.replace(r, state=DELETING))
            return await self._tear_down(name)

    async def finish(self) -> None:
        """Finish what somebody began and did not end."""
        async with self._busy:
            for record in await self._records.all():
                if record.state == CREATING:
                    log.info("the tenant %s was half made: it is finished now", record.name)
                    await self._build(record)
                elif record.state == DELETING:
                    log.info("the tenant %s was half deleted: the rest goes now", record.name)
                    await self._tear_down(record.name)

    async def tell(self) -> None:
        """Let all nodes look at the records."""
        await self._requests.notify(TENANTS_CHANGED, b"")

    @asynccontextmanager
    async def parts(self, record_or_name: str) -> AsyncIterator[tuple[EventStream, Database]]:
        """Open what a tenant has."""
        connection = msgspec.structs.replace(self._connection, tenant=record_or_name)
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(event_stream(connection))
            store = await stack.enter_async_context(database(connection))
            yield stream, store

    async def _build(self, record: TenantRecord) -> TenantRecord:
        async with self.parts(record.name) as (stream, store):
            await stream.ensure(record.partitions)
            await store.ensure()
        access = await asyncio.to_thread(self._servers.admit, record.name)
        if access.password:
            for url in self._connection.url.split(","):
                await self._let_in(url, access)
        made = await self._records.change(
            record.name, lambda r: msgspec.structs.replace(r, state=READY)
        )
        await self.tell()
        return made

    async def _let_in(self, url: str, access: Access) -> None:
        """Wait until a server knows a new user: it reads its configuration when it comes to it.

        One that is down reads it when it starts; one that goes on to refuse raises
        UnavailableError.
        """
        connection = msgspec.structs.replace(
            self._connection,
            url=url,
            tenant=access.tenant,
            user=access.user,
            password=access.password,
            name=f"{self._connection.name}-user",
            proof="",
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LET_IN_SECONDS
        while True:
            try:
                async with event_stream(connection):
                    return
            except UnavailableError as error:
                if loop.time() > deadline:
                    if error.details.get("refused"):
                        raise
                    log.warning("whether %s may log in is not known: %s", access.user, error)
                    return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _tear_down(self, name: str) -> Deleted:
        await self.tell()
        await asyncio.to_thread(self._servers.forget, name)
        await self._revoke_tokens(name)
        await self._leave(name)
        await self._left_by_all(name)
        async with self.parts(name) as (stream, store):
            await stream.destroy()
            await store.destroy()
        keys = await self._remove_keys(name)
        archive = await asyncio.to_thread(self._remove_files, name)
        # The record goes last: as long as it is there, somebody finishes what is left.
        await self._records.remove(name)
        await self._store.tenants.scour()
        return Deleted(name=name, streams=STREAMS, keys=keys, archive=archive)

    async def _revoke_tokens(self, name: str) -> None:
        registry = Registry(cluster_key=None, tenant=self._home, clock=time.time)
        await registry.open(self._store.identity)
        await registry.revoke_all(name)

    async def _left_by_all(self, name: str) -> None:
        """Wait until no process works for the tenant any more."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEAVE_SECONDS
        while serving := await self._serving(name):
            if loop.time() > deadline:
                raise ConflictError(
                    f"the tenant {name} is still served by {', '.join(serving)}",
                    hint="what is left goes by itself as soon as they are done",
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def _serving(self, name: str) -> list[str]:
        found: list[str] = []
        for node, value in (await self._store.leases.live()).items():
            if name in _lease(value).tenants:
                found.append(node)
        return sorted(found)

    async def _remove_keys(self, name: str) -> int:
        own = f"{token(name)}."
        store = self._store
        count = 0
        for bucket, prefixes in (
            (store.definitions, (own,)),
            (store.state, (own, keys_of(name))),
            (store.secrets, (own,)),
        ):
            removed = sum([await _remove(bucket, prefix) for prefix in prefixes])
            if removed:
                # A deleted value stays in the broker's files until they are written anew.
                await bucket.scour()
            count += removed
        return count

    def _remove_files(self, name: str) -> bool:
        if self._data_dir is None:
            return False
        folder = lake_folder(self._data_dir, name)
        existed = folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        run = folder.parent.parent / "run"
        for path in run.glob(f"*.{token(name)}.suspects"):
            path.unlink(missing_ok=True)
        return existed


async def _nothing(_: str) -> None:
    return


async def _remove(bucket: KeyValue, prefix: str) -> int:
    keys = await bucket.keys(prefix)
    for key in keys:
        await bucket.delete(key)
    return len(keys)
