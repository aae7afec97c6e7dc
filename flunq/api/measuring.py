"""The metrics of a cluster in one place: nodes have no port, so they are asked through NATS."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.errors import FlunqError
from flunq.telemetry.merging import merged
from flunq.telemetry.metrics import registry

if TYPE_CHECKING:
    from flunq.api.services import Tenants
    from flunq.client import Client

_log = logging.getLogger(__name__)
_FRESH_SECONDS = 1.0
"""Anybody may ask, so nodes are not asked more often than this."""
_PATIENCE = 3.0
CONTROL = "control"


class GatheredMetrics:
    """Asks every node that is alive; one that does not answer is left out."""

    def __init__(self, tenants: Tenants, home: str) -> None:
        self._tenants = tenants
        self._home = home
        self._lock = asyncio.Lock()
        self._nodes: dict[str, str] = {}
        self._asked: float | None = None

    async def exposition(self) -> str:
        """Return all metrics in the Prometheus text format, each with the label ``node``."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._asked is None or loop.time() - self._asked > _FRESH_SECONDS:
                self._nodes = await self._gather()
                self._asked = loop.time()
        return merged({CONTROL: registry.exposition(), **self._nodes})

    async def _gather(self) -> dict[str, str]:
        try:
            async with asyncio.timeout(_PATIENCE):
                client = await self._tenants.get(self._home)
                return await _ask(client)
        except (FlunqError, TimeoutError) as error:
            _log.warning("the metrics of the nodes are not known: %s", error)
            return {}


async def _ask(client: Client) -> dict[str, str]:
    names = [node.name for node in await client.tenants.nodes()]
    told = await asyncio.gather(*(client.tenants.metrics(name) for name in names))
    return {name: text for name, text in zip(names, told, strict=True) if text is not None}
