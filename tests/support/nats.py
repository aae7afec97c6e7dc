"""A real nats-server for tests: one per module, on free ports, in a temporary folder."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from flunq.log.nats.server import NatsServer, generate_credentials, plan_servers
from flunq.log.select import StreamSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def nats_server(
    directory: Path, *, durability: Literal["strict", "fast"] = "strict"
) -> AsyncIterator[NatsServer]:
    """Run a server while the context is open."""
    plan = plan_servers(directory, durability=durability, credentials=generate_credentials())
    server = NatsServer(plan[0])
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def settings_for(
    server: NatsServer, *, tenant: str = "default", role: str = "engine"
) -> StreamSettings:
    """Return settings that connect to a server as engine or client."""
    credentials = server.config.credentials
    assert credentials is not None
    engine = role == "engine"
    return StreamSettings(
        url=server.url,
        tenant=tenant,
        user=credentials.engine_user if engine else credentials.client_user,
        password=credentials.engine_password if engine else credentials.client_password,
        name=f"test-{role}",
    )
