"""One client per tenant, connected when it is first asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Self

from flunq.client.client import Client
from flunq.log.select import event_stream
from flunq.services.sharing import Shared

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from flunq.services.control import ControlSettings

MOST_OPEN = 256
"""Clients that are kept; a client of a tenant that is idle for long makes room for another."""


class TenantClients:
    """Clients by tenant; all of them share one connection. Use it with ``async with``."""

    def __init__(self, settings: ControlSettings, *, most: int = MOST_OPEN) -> None:
        self._settings = settings
        self._most = most
        self._open: OrderedDict[str, Client] = OrderedDict()
        self._opening: Shared[Client] = Shared()
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def get(self, tenant: str) -> Client:
        """Return the tenant's client; raises UnavailableError when no cluster answers."""
        client = self._open.get(tenant)
        if client is not None:
            self._open.move_to_end(tenant)
            return client
        return await self._opening.result(tenant, partial(self._connect, tenant))

    async def drop(self, tenant: str) -> None:
        """Close the client of a tenant that is gone."""
        client = self._open.pop(tenant, None)
        if client is not None:
            await client.aclose()

    async def aclose(self) -> None:
        """Close all of them."""
        await self._opening.aclose()
        while self._open:
            await self.drop(next(iter(self._open)))
        await asyncio.gather(*self._closing)

    async def _connect(self, tenant: str) -> Client:
        connection = self._settings.connection("clients", tenant=tenant)
        client = Client(event_stream(connection), tenant=tenant)
        await client.__aenter__()
        self._open[tenant] = client
        if len(self._open) > self._most:
            oldest = next(iter(self._open))
            self._close_later(self.drop(oldest))
        return client

    def _close_later(self, closing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
