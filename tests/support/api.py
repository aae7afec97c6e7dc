"""The HTTP API in tests: in this process without a cluster, and that of a running one."""

from __future__ import annotations

import tomllib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from flunq.api.app import create_app
from flunq.api.services import ApiServices, ApiSettings
from flunq.api.tasks.desks import Desks
from flunq.client import Client
from flunq.log.memory import MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.services.control import ControlSettings, Health
from flunq.services.identity import Principal, TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flunq.api.contract import ApiRoute
    from tests.support.cli import Flunq


class NamedTokens:
    """A gate where a token is ``ROLE`` or ``ROLE@TENANT``; it keeps what was recorded."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, str, str | None]] = []

    async def principal(self, authorization: str | None, *, remote: str) -> Principal:
        del remote
        token = (authorization or "").removeprefix("Bearer ")
        role, _, tenant = token.partition("@")
        if role not in ("viewer", "operator", "admin"):
            raise TokenRefusedError("who is that?")
        return Principal(name=role, tenant=tenant or "default", role=role, token_id="t-1")  # type: ignore[arg-type]

    def allow(self, principal: Principal) -> None:
        del principal

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
        del remote
        self.records.append((f"{principal.name} {operation}", target, result, tenant))


class MemoryTenants:
    """A client for every tenant, of a cluster where nobody answers."""

    async def get(self, tenant: str) -> Client:
        return Client(MemoryEventStream(StreamSettings(tenant=tenant)), tenant=tenant)


def services(
    gate: NamedTokens | None = None, settings: ApiSettings | None = None, **more: Any
) -> ApiServices:
    """Return what routes stand on, without a cluster."""
    gate = gate or NamedTokens()
    return ApiServices(
        health=more.pop("health", Health()),
        gate=gate,
        audit=gate,
        tenants=MemoryTenants(),
        desks=Desks(ControlSettings(nats_url="memory://none")),
        settings=settings,
        **more,
    )


@asynccontextmanager
async def calling(
    given: ApiServices, *routes: ApiRoute, token: str = "admin"
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application in this process."""
    app = create_app(given, list(routes) if routes else None)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api", headers=headers
    ) as client:
        yield client


def api_of(flunq: Flunq) -> tuple[str, str]:
    """Return the address of a running cluster's API, and the token of its first administrator."""
    (path,) = (flunq.home / "config" / "contexts").iterdir()
    context = tomllib.loads(path.read_text())
    return context["api_url"], context["token"]


def api_client(flunq: Flunq, *, token: str | None = None, **more: Any) -> httpx.Client:
    """Return a client of a running cluster's API."""
    url, own = api_of(flunq)
    headers = {"authorization": f"Bearer {token or own}"}
    return httpx.Client(base_url=url, headers=headers, timeout=30.0, **more)


def new_token(flunq: Flunq, role: str, *arguments: str) -> str:
    """Return a token with a role."""
    made = flunq(
        "tokens", "create", "--role", role, "--name", f"test-{role}", "-o", "json", *arguments
    )
    assert made.code == 0, made.err
    token: str = made.json["token"]
    return token


def frames(lines: Sequence[str]) -> list[dict[str, str]]:
    """Read server-sent events from lines."""
    found: list[dict[str, str]] = [{}]
    for line in lines:
        if not line:
            found.append({})
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            found[-1][name] = value.removeprefix(" ")
    return [frame for frame in found if "data" in frame]
