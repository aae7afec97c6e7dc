"""One container of one task: found or created, started, followed to its end, removed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import JSON, Call, TaskError
from flunq_plugins import docker_settings as settings
from flunq_plugins.docker_api import DockerError
from flunq_plugins.docker_chunks import Outputs
from flunq_plugins.docker_cleanup import remove
from flunq_plugins.process_arguments import Result, collect, too_large

if TYPE_CHECKING:
    from flunq_plugins.docker_api import DockerApi
    from flunq_plugins.process_arguments import Asked

_PIECE = 64 * 1024
_OVERHEAD = 2
"""How much longer than its limit an output may be on its way here."""


class Container:
    """The container of one attempt of a task."""

    def __init__(self, api: DockerApi, asked: Asked, call: Call, limit: int) -> None:
        self._api = api
        self._asked = asked
        self._call = call
        self._limit = limit
        self._full = asyncio.Event()
        self._stdin: asyncio.Task[None] | None = None
        self.id = ""
        self.ended = False
        self.cleanup_after = settings.cleanup_after(asked)
        self.stdout = collect(asked, "stdout", limit, self._full.set)
        self.stderr = collect(asked, "stderr", limit, self._full.set)

    async def start(self) -> None:
        """Bring the container up, unless an earlier delivery of the task did."""
        if await self._find():
            return
        if not self.id:
            await self._create()
        fed = asyncio.Event()
        if self._asked.stdin:
            self._stdin = asyncio.create_task(self._feed(fed))
            await _first(fed.wait(), self._stdin)
        try:
            await self._api.call("POST", f"/containers/{self.id}/start")
        except DockerError as error:
            raise _refused("The container could not be started", error) from error

    async def output(self) -> JSON:
        """Follow the container to its end and return what was asked for."""
        code, ending = await self._follow()
        self.ended = True
        result = Result(
            code=code, stdout=self.stdout.text(), stderr=self.stderr.text(), ending=ending
        )
        return self._asked.output(result)

    async def remove(self) -> None:
        """Kill and remove whatever there is of it, also if nobody heard of its creation."""
        await self.let_go()
        for found in await self._labelled():
            with contextlib.suppress(DockerError):
                await remove(self._api, str(found["Id"]))

    async def let_go(self) -> None:
        """Stop feeding it."""
        if self._stdin is not None:
            self._stdin.cancel()
            # A container may end, or close its input, without having read it.
            await asyncio.gather(self._stdin, return_exceptions=True)

    async def _labelled(self) -> list[dict[str, Any]]:
        filters = {"label": [f"{settings.TASK}={self._call.task}"]}
        query = {"all": "true", "filters": filters}
        return await self._api.call("GET", "/containers/json", query) or []

    async def _find(self) -> bool:
        """Look for the container of an earlier delivery; tell whether it was started already."""
        for found in await self._labelled():
            started = found.get("State") != "created"
            if started and self._asked.stdin:
                # Nobody knows how much of its input it has got.
                await remove(self._api, str(found["Id"]))
                continue
            self.id = str(found["Id"])
            return started
        return False

    async def _create(self) -> None:
        image = await self._image()
        body = settings.body(self._call, self._asked, image.get("Config") or {})
        body["HostConfig"]["LogConfig"] = settings.log_settings(
            await self._api.log_driver(), self._limit
        )
        query = {"name": settings.name(self._call, self._asked)}
        try:
            made = await self._api.call("POST", "/containers/create", query, body)
        except DockerError as error:
            if "already in use" in error.message:
                error.status = 409  # Podman calls it a fault of its own
            raise _refused("The container could not be created", error) from error
        self.id = str(made["Id"])

    async def _image(self) -> dict[str, Any]:
        """Return what the engine knows of the image, after pulling it if need be."""
        image = self._asked.required("image")
        policy = settings.pull_policy(self._asked)
        if policy == "always":
            await self._pull(image)
        try:
            return await self._inspected(image)
        except DockerError as error:
            if error.status != 404 or policy != "ifNotPresent":
                raise _refused("The image cannot be used", error) from error
        await self._pull(image)
        try:
            return await self._inspected(image)
        except DockerError as error:
            raise _refused("The image cannot be used", error) from error

    async def _inspected(self, image: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._api.call("GET", f"/images/{image}/json")
        return found

    async def _pull(self, image: str) -> None:
        try:
            async with self._api.request("POST", "/images/create", _pulled(image)) as answer:
                async for step in answer.lines():
                    if isinstance(step, dict) and step.get("error"):
                        raise DockerError(502, str(step["error"]))
        except DockerError as error:
            detail = f"{image}: {error.message}"
            raise TaskError(
                "communication", error.status, "The image cannot be pulled", detail
            ) from error

    async def _feed(self, ready: asyncio.Event) -> None:
        """Write the input; a container that does not read it holds nobody up."""
        content = memoryview(self._asked.stdin)
        async with self._api.attach(self.id) as writer:
            ready.set()
            for begin in range(0, len(content), _PIECE):
                writer.write(content[begin : begin + _PIECE])
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
                await asyncio.Event().wait()  # the engine may take the end of all for the end

    async def _follow(self) -> tuple[int, str]:
        """Read the output until the container ends; return its exit code."""
        logs = asyncio.create_task(self._read_logs())
        full = asyncio.create_task(self._full.wait())
        try:
            await asyncio.wait([logs, full], return_when=asyncio.FIRST_COMPLETED)
            if self._full.is_set():
                stream = "stdout" if self.stdout.overflowed else "stderr"
                raise too_large(stream, self._limit)
            await logs
            return await self._wait()
        except DockerError as error:
            raise _refused("The container was lost", error) from error
        finally:
            logs.cancel()
            full.cancel()
            await asyncio.wait([logs, full])
            await self.let_go()

    async def _read_logs(self) -> None:
        query = {"follow": "true", "stdout": "true", "stderr": "true"}
        async with self._api.request("GET", f"/containers/{self.id}/logs", query) as answer:
            pieces, taken = Outputs(), 0
            async for chunk in answer.chunks():
                stdout, stderr = pieces.feed(chunk)
                self.stdout.data_received(stdout)
                self.stderr.data_received(stderr)
                # The shortest lines weigh several times what they hold.
                taken += len(chunk)
                if taken > self._limit * _OVERHEAD:
                    self._full.set()
                # What is there already comes without a wait, and others want to run too.
                await asyncio.sleep(0)

    async def _wait(self) -> tuple[int, str]:
        said = await self._api.call("POST", f"/containers/{self.id}/wait")
        error = said.get("Error") or {}
        return int(said["StatusCode"]), str(error.get("Message") or "")


async def _first(waiting: Any, task: asyncio.Task[None]) -> None:
    """Wait for something that a task is to bring about; raise what the task fails with."""
    waiter = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait([waiter, task], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    except DockerError as error:
        raise _refused("The container takes no input", error) from error
    finally:
        waiter.cancel()


def _pulled(image: str) -> dict[str, str]:
    """Return the query that pulls one image, not all that have its name."""
    tag = image.rpartition("/")[2].partition(":")[2]
    if "@" in image or tag:
        return {"fromImage": image}
    return {"fromImage": image, "tag": "latest"}


def _refused(title: str, error: DockerError) -> TaskError:
    if error.status in (400, 404, 409):
        return TaskError("configuration", error.status, title, error.message)
    return TaskError("runtime", 500, title, error.message)
