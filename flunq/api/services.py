"""What the routes stand on: who asks, as which tenant, and what was done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import msgspec

from flunq.api.limits import ApiLimits
from flunq.api.measuring import GatheredMetrics
from flunq.api.problems import BusyError
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.api.tasks.desks import Desks
    from flunq.client import Client
    from flunq.services.control import Health
    from flunq.services.identity import Principal
    from flunq.services.identity.links import ApprovalLinks


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the API behaves."""

    limits: ApiLimits = ApiLimits()
    cors_origins: tuple[str, ...] = ()
    """Exact origins of web pages that may call it; none by default."""
    home_tenant: str = "default"
    """Admins of this tenant administrate the whole cluster."""


class Gatekeeper(Protocol):
    """Says who holds a token, and whether that one may ask again already."""

    async def principal(self, authorization: str | None, *, remote: str) -> Principal:
        """Return who asks; raises TokenRefusedError."""
        ...

    def allow(self, principal: Principal) -> None:
        """Count a request; raises TooManyRequestsError."""
        ...


class Auditor(Protocol):
    """Keeps what was done."""

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
        """Note one operation in a tenant, the principal's own by default; it is written soon."""
        ...


class Tenants(Protocol):
    """Knows a client for each tenant."""

    async def get(self, tenant: str) -> Client:
        """Return the tenant's client."""
        ...


def _no_links() -> ApprovalLinks:
    raise UnavailableError("this process is not connected to the cluster")


class ApiServices:
    """Everything that endpoints share."""

    def __init__(
        self,
        *,
        health: Health,
        gate: Gatekeeper,
        audit: Auditor,
        tenants: Tenants,
        desks: Desks,
        settings: ApiSettings | None = None,
        links: Callable[[], ApprovalLinks] = _no_links,
        stopping: asyncio.Event | None = None,
    ) -> None:
        self.health = health
        self.gate = gate
        self.audit = audit
        self.tenants = tenants
        self.desks = desks
        self.links = links
        """Return the links by which people answer; raises UnavailableError without a cluster."""
        self.settings = settings or ApiSettings()
        self.stopping = stopping or asyncio.Event()
        """Set when the process is asked to end: what streams or waits then ends too."""
        self.waits = Places(self.settings.limits.streams)
        self.metrics = GatheredMetrics(tenants, self.settings.home_tenant)


class Places:
    """Counts those who are served for long; with the last place taken others are refused."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    def check(self) -> None:
        """Refuse another one if all are taken; raises BusyError."""
        if self.taken >= self._most:
            raise BusyError(f"{self._most} streams and polls are open here already")

    def __enter__(self) -> None:
        self.check()
        self.taken += 1

    def __exit__(self, *exc_info: object) -> None:
        self.taken -= 1
