"""The API of a control process: it listens at once, and connects meanwhile."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from flunq.api.app import create_app
from flunq.api.limits import ApiLimits
from flunq.api.services import ApiServices, ApiSettings
from flunq.api.tasks.desks import Desks
from flunq.errors import UnavailableError
from flunq.services.identity import Identity
from flunq.services.lasting import heard, kept_up
from flunq.services.tenants.clients import TenantClients

if TYPE_CHECKING:
    from flunq.api.app import Api
    from flunq.services.control import ControlSettings, Health
    from flunq.services.identity import Principal
    from flunq.services.identity.links import ApprovalLinks

_log = logging.getLogger(__name__)
CONNECT_SECONDS = 10.0
"""How long the first callers wait for the connection."""


class Doorway:
    """The gate and the audit of the process, as soon as they are there."""

    def __init__(self) -> None:
        self._identity: Identity | None = None
        self._opened = asyncio.Event()

    def open(self, identity: Identity) -> None:
        """Let callers in from now on."""
        self._identity = identity
        self._opened.set()

    def close(self) -> None:
        """Let nobody in until the connection is made again."""
        self._identity = None
        self._opened.clear()

    async def principal(self, authorization: str | None, *, remote: str) -> Principal:
        """Return who asks; raises TokenRefusedError, or UnavailableError without a connection."""
        if self._identity is None:
            await heard(self._opened, within=CONNECT_SECONDS)
        return await self._present().gate.principal(authorization, remote=remote)

    def allow(self, principal: Principal) -> None:
        """Count a request; raises TooManyRequestsError."""
        self._present().gate.allow(principal)

    def record(
        self,
        principal: Principal,
        operation: str,
        target: str,
        result: str,
        remote: str,
        *,
        tenant: str | None = None,
    ) -> None:
        """Note what was done."""
        if self._identity is None:
            _log.error("%s of %s is missing in the audit", operation, principal.name)
            return
        self._identity.audit.record(principal, operation, target, result, remote, tenant=tenant)

    def links(self) -> ApprovalLinks:
        """Return the links by which people answer; raises UnavailableError."""
        return self._present().links

    def _present(self) -> Identity:
        if self._identity is None:
            raise UnavailableError("this process is not connected to the cluster")
        return self._identity


class HostedApi:
    """The application and what it stands on."""

    def __init__(self, settings: ControlSettings, health: Health) -> None:
        self._settings = settings
        self._doorway = Doorway()
        self._tenants = TenantClients(settings)
        self._desks = Desks(settings)
        self.services = ApiServices(
            health=health,
            gate=self._doorway,
            audit=self._doorway,
            tenants=self._tenants,
            desks=self._desks,
            links=self._doorway.links,
            settings=ApiSettings(
                limits=ApiLimits(body=settings.body_limit),
                cors_origins=settings.cors_origins,
                home_tenant=settings.tenant,
            ),
        )
        self.app: Api = create_app(self.services)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the connections until asked to stop."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._tenants)
            await stack.enter_async_context(self._desks)
            await kept_up("the connection of the API", lambda: self._connected(stop), stop)
            self.services.stopping.set()

    async def _connected(self, stop: asyncio.Event) -> None:
        connection = self._settings.connection("api")
        async with Identity.open(connection, self._settings.identity) as identity:
            self._doorway.open(identity)
            try:
                await stop.wait()
                self.services.stopping.set()
            finally:
                self._doorway.close()
