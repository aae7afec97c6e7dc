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
from flunq.log.select import StreamSettings
from flunq.services.identity import Identity
from flunq.services.tenants.clients import TenantClients

if TYPE_CHECKING:
    from flunq.api.app import Api
    from flunq.services.control import ControlSettings, Health
    from flunq.services.identity import Principal

_log = logging.getLogger(__name__)
CONNECT_SECONDS = 10.0
"""How long the first callers wait for the connection."""
_RECONNECT_SECONDS = 1.0


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
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._opened.wait()
            except TimeoutError:
                pass
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
            while not stop.is_set():
                try:
                    await self._connected(stop)
                except Exception as error:  # noqa: BLE001 - those who wait for it wait on
                    _log.warning("the API connects again: %s", error)
                    await asyncio.sleep(_RECONNECT_SECONDS)
            self.services.stopping.set()

    async def _connected(self, stop: asyncio.Event) -> None:
        settings = self._settings
        connection = StreamSettings(
            url=settings.nats_url,
            tenant=settings.tenant,
            user=settings.user,
            password=settings.password,
            replicas=settings.replicas,
            durability="fast" if settings.durability == "fast" else "strict",
            name=f"{settings.node}-api",
        )
        async with Identity.open(connection, settings.identity) as identity:
            self._doorway.open(identity)
            try:
                await stop.wait()
                self.services.stopping.set()
            finally:
                self._doorway.close()
