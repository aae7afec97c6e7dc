"""A tenant is ready once its user can log in, not when the servers were told of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core.tenancy import CREATING, READY, Access, TenantRecord, nats_user, tenant_permissions
from flunq.errors import UnavailableError
from flunq.log.nats import NatsDatabase, NatsEventStream
from flunq.services.tenants import lifecycle
from flunq.services.tenants.access import Servers, reload_users
from flunq.services.tenants.lifecycle import TenantLifecycle
from flunq.services.tenants.records import TenantRecords
from tests.support.nats import nats_server, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.log.nats.server import NatsServer

PASSWORD = "of the tenant"
WANTED = TenantRecord(name="acme", partitions=1)


class LateServers(Servers):
    """Servers that come to it only some time after they were told of a user."""

    def __init__(self, server: NatsServer, delay: float | None) -> None:
        super().__init__(None)
        self._server = server
        self._delay = delay

    def admit(self, tenant: str) -> Access:
        if self._delay is not None:
            threading.Timer(self._delay, self._reload, [tenant]).start()
        publish, subscribe = tenant_permissions(tenant)
        return Access(
            tenant=tenant,
            user=nats_user(tenant),
            password=PASSWORD,
            publish=publish,
            subscribe=subscribe,
        )

    def _reload(self, tenant: str) -> None:
        config = self._server.config
        assert config.credentials is not None and self._server.pid is not None
        known = msgspec.structs.replace(config.credentials, tenants={tenant: PASSWORD})
        path = next(config.directory.glob("**/*.conf"))
        reload_users(path, self._server.pid, known)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with nats_server(tmp_path, durability="fast") as running:
        yield running


async def made(server: NatsServer, delay: float | None) -> TenantRecord:
    """Make the tenant."""
    connection = settings_for(server)
    async with NatsEventStream(connection) as stream, NatsDatabase(connection) as store:
        await store.ensure()
        records = TenantRecords(store.tenants)
        servers = LateServers(server, delay)
        tending = TenantLifecycle(
            records, connection, store, stream.requests, servers, home="default", data_dir=None
        )
        try:
            return await tending.create(WANTED)
        except UnavailableError:
            assert (await records.get("acme")).state == CREATING
            raise


async def test_a_tenant_is_made_when_its_user_can_log_in(server: NatsServer) -> None:
    record = await made(server, delay=0.3)
    assert record.state == READY
    mine = msgspec.structs.replace(
        settings_for(server), tenant="acme", user=nats_user("acme"), password=PASSWORD, name="acme"
    )
    async with asyncio.timeout(10), NatsEventStream(mine) as stream:
        assert stream.max_payload > 0


async def test_a_tenant_whose_user_no_server_lets_in_is_not_made(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "LET_IN_SECONDS", 0.1)
    with pytest.raises(UnavailableError, match="refuses these credentials"):
        await made(server, delay=None)
