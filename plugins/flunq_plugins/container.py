"""``run: container``."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from flunq.sdk.executor import JSON, Call, Executor, TaskError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.sdk.context import ExecutorContext, TaskContext
    from flunq_plugins.docker_api import DockerApi
    from flunq_plugins.docker_cleanup import Removals
    from flunq_plugins.docker_container import Container

MAX_BACKGROUND = 256
"""Containers that nobody awaits, on one node."""


class ContainerExecutor(Executor):
    """Runs containers with the Docker Engine API, of Docker or Podman."""

    kinds = ("run:container",)

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._api: DockerApi | None = None
        self._removals: Removals | None = None
        self._background: dict[str, asyncio.Task[None]] = {}

    async def aclose(self) -> None:
        """Stop what nobody awaits and finish removing."""
        background = list(self._background.values())
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        if self._removals is not None:
            await self._removals.aclose()

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Run the container and return what was asked for."""
        from flunq_plugins.docker_container import Container
        from flunq_plugins.process_arguments import Asked, require_programs

        require_programs(context)
        asked = Asked(call)
        if call.task in self._background:
            return None  # delivered twice
        if not asked.awaited and len(self._background) >= MAX_BACKGROUND:
            detail = f"{MAX_BACKGROUND} containers run in the background of this node already"
            raise TaskError("runtime", 503, "Too many containers", detail)
        api = self._api or self._open(context.shared)
        container = Container(api, asked, call, context.settings.max_body)
        async with AsyncExitStack() as unless_started:
            unless_started.push_async_callback(self._tidy, container)
            await container.start()
            unless_started.pop_all()
        if asked.awaited:
            return await self._see_through(container)
        task = asyncio.create_task(self._watch(container, call, context))
        self._background[call.task] = task
        task.add_done_callback(lambda _: self._background.pop(call.task, None))
        return None

    async def _see_through(self, container: Container) -> JSON:
        try:
            return await container.output()
        finally:
            await self._tidy(container)

    async def _watch(self, container: Container, call: Call, context: TaskContext) -> None:
        """See a container through that nobody awaits."""
        try:
            await self._see_through(container)
        except TaskError as error:
            where = f"{call.kind} {call.reference} of execution {call.execution}"
            context.logger.warning(
                "%s, in the background: %s: %s", where, error.title, error.detail
            )

    async def _tidy(self, container: Container) -> None:
        """Do as the lifetime says with a container that has ended, remove any other."""
        assert self._removals is not None
        if not container.ended:
            # A second cancellation does not keep it from being removed.
            await asyncio.shield(self._removals.now(container.remove()))
        elif container.cleanup_after is not None:
            self._removals.later(container.id, container.cleanup_after)

    def _open(self, context: ExecutorContext) -> DockerApi:
        from flunq_plugins.docker_api import DockerApi, find_endpoint
        from flunq_plugins.docker_cleanup import Removals

        self._api = api = DockerApi(find_endpoint(self._environment))
        self._removals = Removals(api, context.logger)
        self._removals.sweep()
        return api
