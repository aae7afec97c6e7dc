"""The desks of this process: one per tenant, opened when a worker first asks."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from flunq.api.tasks.desk import Desk
from flunq.log.select import database, event_stream
from flunq.services.courier import Courier

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.services.control import ControlSettings

_log = logging.getLogger(__name__)


class Desks:
    """Desks by tenant. Use it with ``async with``."""

    def __init__(self, settings: ControlSettings) -> None:
        self._settings = settings
        self._name = f"{settings.node}-{secrets.token_hex(4)}"
        self._open: dict[str, tuple[Desk, asyncio.Task[None]]] = {}
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def get(self, client: Client) -> Desk:
        """Return the desk of a client's tenant."""
        async with self._turn:
            found = self._open.get(client.tenant)
            if found is None or found[1].done():
                found = self._open[client.tenant] = await self._begin(client)
            return found[0]

    async def _begin(self, client: Client) -> tuple[Desk, asyncio.Task[None]]:
        partitions = (await client.info()).partitions
        settings = self._settings.connection("tasks", tenant=client.tenant)
        stream = await self._stack.enter_async_context(event_stream(settings))
        blobs = (await self._stack.enter_async_context(database(settings))).blobs
        courier = Courier(stream, tenant=client.tenant, partitions=partitions, blobs=blobs)
        desk = Desk(client, stream, blobs, courier, name=self._name, proof=self._settings.proof)
        ready = asyncio.Event()
        running = asyncio.create_task(desk.run(ready))
        running.add_done_callback(lambda _: ready.set())
        self._stack.push_async_callback(_ended, running)
        await ready.wait()
        if running.done():
            running.result()
        return desk, running


async def _ended(running: asyncio.Task[None]) -> None:
    running.cancel()
    (problem,) = await asyncio.gather(running, return_exceptions=True)
    if isinstance(problem, Exception):
        _log.warning("the tasks of a tenant were let go: %r", problem)
