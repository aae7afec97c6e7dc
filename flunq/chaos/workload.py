"""Executions under way while faults happen, and the probes that tell what a fault costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from flunq.chaos.options import BUILT_IN, built_in_output
from flunq.core.ids import partition_of
from flunq.errors import FlunqError, NotFoundError, UnavailableError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.chaos.options import ChaosOptions
    from flunq.client import Client

_PROBE = """\
document: {dsl: 1.0.3, namespace: flunq, name: chaos-probe, version: 1.0.0}
do:
  - nothing: {set: {probed: true}}
"""
_PROBE_PATIENCE = 45.0
_PAUSE = 0.05


class Workload:
    """Starts executions, insists until each start is acknowledged, and waits for their ends."""

    def __init__(self, client: Client, options: ChaosOptions) -> None:
        self._client = client
        self._options = options
        self._name = ""
        self._partitions = 0
        self.acknowledged: dict[str, int | None] = {}
        """Execution -> its number; None for a probe."""
        self.results: dict[str, Any] = {}
        self.broken: list[str] = []
        self._progress = asyncio.Event()

    async def prepare(self) -> None:
        """Register the workflows."""
        text = self._options.workflow or BUILT_IN
        applied = await self._client.apply(text)
        self._name = f"{applied['namespace']}/{applied['name']}:{applied['version']}"
        await self._client.apply(_PROBE)
        self._partitions = (await self._client.info()).partitions

    async def run(self) -> None:
        """Run all executions, some at a time."""
        slots = asyncio.Semaphore(self._options.in_flight)
        async with asyncio.TaskGroup() as group:
            for number in range(self._options.executions):
                await slots.acquire()
                task = group.create_task(self._one(number))
                task.add_done_callback(lambda _: slots.release())

    async def reached(self, count: int) -> None:
        """Return once so many executions have ended, well or not."""
        while len(self.results) < count:
            self._progress.clear()
            await self._progress.wait()

    async def _one(self, number: int) -> None:
        id_ = f"chaos-{self._options.seed}-{number}"
        try:
            await self.start(self._name, self._input(number), id_)
            self.acknowledged[id_] = number
            result = await self.end(id_)
            self.results[id_] = result.status
            if self._options.workflow is None and result.output != built_in_output(number):
                self.broken.append(f"wrong: {id_} ended {result.status} with {result.output}")
        except (FlunqError, TimeoutError) as error:
            self.results[id_] = "unknown"
            self.broken.append(f"lost: {id_} has not ended: {error or 'in time'}")
        finally:
            self._progress.set()

    def _input(self, number: int) -> Any:
        return {"n": number} if self._options.workflow is None else self._options.input

    async def start(self, name: str, value: Any, id_: str) -> None:
        """Start with one id until somebody acknowledges it, as a careful caller does."""
        async with asyncio.timeout(self._options.patience):
            while True:
                try:
                    await self._client.start(name, value, id=id_)
                    return
                except (UnavailableError, WaitTimeoutError):
                    await asyncio.sleep(_PAUSE)

    async def end(self, id_: str) -> Any:
        """Wait for the end of an execution, whoever owns it by then."""
        async with asyncio.timeout(self._options.patience):
            while True:
                try:
                    return await self._client.result(id_, timeout=self._options.patience)
                except (UnavailableError, NotFoundError):
                    await asyncio.sleep(_PAUSE)  # its owner is about to change

    async def probe(
        self, fault: int, clock: Callable[[], float]
    ) -> tuple[float | None, float | None]:
        """Measure from now until a start is accepted, and until each partition has accepted one."""
        began = clock()

        async def one(id_: str) -> float:
            await self.start("flunq/chaos-probe", {}, id_)
            accepted = clock() - began
            self.acknowledged[id_] = None
            return accepted

        probes = [asyncio.create_task(one(id_)) for id_ in self._probe_ids(fault)]
        done, late = await asyncio.wait(probes, timeout=_PROBE_PATIENCE)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        times = sorted(task.result() for task in done if task.exception() is None)
        return (times[0] if times else None), (times[-1] if len(times) == len(probes) else None)

    def _probe_ids(self, fault: int) -> list[str]:
        """Return an id for each partition."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < self._partitions:
            id_ = f"probe-{self._options.seed}-{fault}-{number}"
            found.setdefault(partition_of(id_, self._partitions), id_)
            number += 1
        return list(found.values())

    def statuses(self) -> dict[str, int]:
        """Return how the executions ended."""
        return dict(Counter(self.results.values()))
