"""The tenants beside the first one: a node begins and stops serving them as they come and go."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from flunq.core.ids import token
from flunq.core.retention import retention_for
from flunq.core.tenancy import READY, TENANTS_CHANGED
from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError
from flunq.log.select import database, event_stream
from flunq.sdk.executor import TaskError
from flunq.services.executor.suspects import Suspects
from flunq.services.lasting import heard
from flunq.services.tenants.records import TenantRecords
from flunq.services.tenants.runtime import TenantParts, TenantRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from flunq.core.tenancy import TenantRecord
    from flunq.log.ports import Database, Requests
    from flunq.log.select import StreamSettings
    from flunq.services.tenants.runtime import Host
    from flunq.services.worker.context import WorkerSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""How often the records are read, beside every time that somebody says they changed."""
RETRY_SECONDS = 1.0


class NoSecrets:
    """A tenant knows the secrets of its vault alone: the environment belongs to the first one."""

    def resolve(self, name: str) -> Any:
        """Know nothing."""
        raise TaskError("authorization", 403, detail=f"there is no secret called {name}")


class OtherTenants:
    """Runs a runtime for each ready tenant but the home of the process."""

    def __init__(
        self,
        host: Host,
        connection: StreamSettings,
        store: Database,
        requests: Requests,
        *,
        home: TenantRuntime | None,
        settings: WorkerSettings,
        suspects: Path | None,
    ) -> None:
        self._host = host
        self._connection = connection
        self._records = TenantRecords(store.tenants)
        self._requests = requests
        self._home = home
        self._settings = settings
        self._suspects = suspects
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._runtimes: dict[str, TenantRuntime] = {}
        self._ready: dict[str, TenantRecord] = {}
        self._changed = asyncio.Event()
        self._closing = False

    def runtimes(self) -> Iterator[TenantRuntime]:
        """Return those that work."""
        return iter(self._runtimes.values())

    def close(self) -> None:
        """Begin nothing any more."""
        self._closing = True
        self._changed.set()

    async def run(self) -> None:
        """Follow the records until cancelled."""
        async with (
            self._requests.listen(TENANTS_CHANGED, lambda _: self._changed.set()),
            asyncio.TaskGroup() as group,
        ):
            while not self._closing:
                self._changed.clear()
                await self._follow(group)
                await heard(self._changed, within=LOOK_SECONDS)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        try:
            records = await self._records.all()
        except (OutcomeUnknownError, FlunqError) as error:
            log.warning("the tenants could not be read: %s", error)
            return
        self._ready = {record.name: record for record in records if record.state == READY}
        home = self._ready.pop(self._settings.tenant, None)
        if home is not None and self._home is not None:
            self._home.quota.change(home.quotas)
        for name in self._serving.keys() - self._ready.keys():
            group.create_task(self._part(self._serving.pop(name)))
        for name, record in self._ready.items():
            if name not in self._serving and not self._closing:
                self._serving[name] = group.create_task(self._serve(name), name=f"tenant-{name}")
            elif name in self._runtimes:
                self._runtimes[name].quota.change(record.quotas)

    async def _part(self, serving: asyncio.Task[None]) -> None:
        """Serve a tenant no longer, and let everybody know."""
        serving.cancel()
        await asyncio.wait([serving])
        await self._host.membership.put()

    async def _serve(self, name: str) -> None:
        """Serve one tenant; what goes wrong with it does not concern the others."""
        while True:
            try:
                await self._serve_once(self._ready[name])
            except Exception as error:  # one tenant must not end the others
                log.warning("tenant %s begins again: %s", name, error, exc_info=error)
            if self._closing or name not in self._ready:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _serve_once(self, record: TenantRecord) -> None:
        name = record.name
        connection = msgspec.structs.replace(self._connection, tenant=name)
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(event_stream(connection))
            store = await stack.enter_async_context(database(connection))
            parts = TenantParts(
                stream=stream,
                store=store,
                settings=self._settings_of(record),
                secrets=NoSecrets(),
                suspects=self._suspects_of(name),
                quotas=record.quotas,
            )
            runtime = TenantRuntime(self._host, parts)
            stack.callback(runtime.close)
            await runtime.secrets.load()
            self._runtimes[name] = runtime
            stack.callback(self._runtimes.pop, name)
            await runtime.run()

    def _settings_of(self, record: TenantRecord) -> WorkerSettings:
        settings = msgspec.structs.replace(
            self._settings, tenant=record.name, partitions=record.partitions
        )
        keeping = record.retention
        if keeping.after is None and keeping.keep is None:
            return settings
        return msgspec.structs.replace(
            settings, retention=retention_for(keeping.after, keeping.keep)
        )

    def _suspects_of(self, name: str) -> Suspects | None:
        if self._suspects is None:
            return None
        return Suspects(self._suspects / f"{self._settings.node}.{token(name)}.suspects")
