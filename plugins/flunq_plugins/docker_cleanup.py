"""Removing containers: now, later, and those that another life of the node has left."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import TaskError
from flunq_plugins.docker_api import DockerApi, DockerError
from flunq_plugins.docker_settings import CLEANUP

if TYPE_CHECKING:
    import logging
    from collections.abc import Coroutine

CLOSING_SECONDS = 5.0
SPARED_SECONDS = 60.0
"""Nobody else's container is removed before: its node may still be reading what it wrote."""


class Removals:
    """The removals of one node; they outlive the calls they belong to."""

    def __init__(self, api: DockerApi, logger: logging.Logger) -> None:
        self._api = api
        self._logger = logger
        self._now: set[asyncio.Task[None]] = set()
        self._later: dict[str, asyncio.Task[None]] = {}

    async def aclose(self) -> None:
        """Finish what has begun; what is to come later is left to whoever sweeps next."""
        for task in self._later.values():
            task.cancel()
        if self._now:
            await asyncio.wait(self._now, timeout=CLOSING_SECONDS)

    def now(self, removal: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Carry a removal out, whether or not somebody waits for it."""
        task = asyncio.create_task(self._guarded(removal))
        self._now.add(task)
        task.add_done_callback(self._now.discard)
        return task

    def later(self, container: str, seconds: float) -> None:
        """Remove a container after some seconds."""
        if seconds <= 0:
            self.now(remove(self._api, container))
        elif container not in self._later:
            task = asyncio.create_task(self._wait(container, seconds))
            self._later[container] = task
            task.add_done_callback(lambda _: self._later.pop(container, None))

    def sweep(self) -> None:
        """See to the containers that were left when a node stopped."""
        self.now(self._sweep())

    async def _wait(self, container: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.now(remove(self._api, container))

    async def _sweep(self) -> None:
        filters = {"label": [CLEANUP], "status": ["exited"]}
        query = {"all": "true", "filters": filters}
        for found in await self._api.call("GET", "/containers/json", query) or []:
            after = float(found["Labels"][CLEANUP])
            container = await self._api.call("GET", f"/containers/{found['Id']}/json")
            ended = datetime.fromisoformat(container["State"]["FinishedAt"])
            passed = (datetime.now(UTC) - ended).total_seconds()
            self.later(str(found["Id"]), max(after, SPARED_SECONDS) - passed)

    async def _guarded(self, removal: Coroutine[Any, Any, None]) -> None:
        try:
            await removal
        except (DockerError, TaskError, KeyError, ValueError) as error:
            detail = error.detail if isinstance(error, TaskError) else error
            self._logger.warning("containers may be left behind: %s", detail)


async def remove(api: DockerApi, container: str) -> None:
    """Kill and remove a container; one that is gone already is fine."""
    try:
        await api.call("DELETE", f"/containers/{container}", {"force": "true", "v": "true"})
    except DockerError as error:
        if error.status not in (404, 409):  # 409: somebody else removes it just now
            raise
