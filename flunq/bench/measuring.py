"""What every scenario needs: load on the client's side and the cost on the cluster's."""

from __future__ import annotations

import asyncio
import gc
import time
from itertools import repeat
from typing import TYPE_CHECKING, Any

from flunq.bench.bar import Bar
from flunq.bench.counters import Counters, read_counters
from flunq.bench.processes import cpu_between, peak_of, read_usage, written_between
from flunq.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flunq.bench.cluster import BenchCluster

PATIENCE = 120.0
"""Seconds after which an execution that has not ended is a failure of the benchmark."""


class Meter:
    """Wall time, CPU and counters of a block."""

    def __init__(self, cluster: BenchCluster) -> None:
        self._cluster = cluster
        self.wall = 0.0
        self.cost: dict[str, Any] = {}

    async def __aenter__(self) -> Meter:
        self._counters = await read_counters(self._cluster)
        # A collection of what was there before would look like a cluster that answers late.
        gc.collect()
        gc.freeze()
        self._usage = read_usage(self._cluster.pids)
        self._began = time.perf_counter()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.wall = time.perf_counter() - self._began
        usage = read_usage(self._cluster.pids)
        gc.unfreeze()
        counters = await read_counters(self._cluster)
        self.cost = {
            "cpu_seconds": cpu_between(self._usage, usage),
            "peak_bytes": peak_of(usage),
            "written_bytes": written_between(self._usage, usage),
            **Counters.between(self._counters, counters),
        }

    def per(self, count: int) -> dict[str, Any]:
        """Return the cost of each of ``count`` pieces of work."""
        cpu = self.cost["cpu_seconds"]
        each = {name: round(seconds / count * 1e6, 1) for name, seconds in cpu.items()}
        return {
            "cpu_us": {**each, "all": round(sum(cpu.values()) / count * 1e6, 1)},
            "written_bytes": round(self.cost["written_bytes"] / count),
            "commits": _share(self.cost["commits"], count),
            "fsyncs": _share(self.cost["fsyncs"], count),
        }


class Load:
    """Executions of one workflow, a fixed number at a time, each until its result is here."""

    def __init__(self, cluster: BenchCluster, workflow: str) -> None:
        self._client = cluster.client
        self._tell = cluster.tell
        self._workflow = workflow
        self.latencies: list[float] = []

    async def run(
        self,
        executions: int,
        in_flight: int,
        *,
        at: Iterable[float] | None = None,
        value: dict[str, Any] | None = None,
    ) -> None:
        """Run executions to their end; ``at`` are the moments before which they do not begin.

        The input is ``value`` and the number of the execution.
        """
        bar = Bar(self._tell, executions)
        numbers = zip(range(executions), repeat(0.0) if at is None else at, strict=False)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, executions)):
                group.create_task(self._keep_busy(numbers, value or {}, bar))

    async def _keep_busy(
        self, numbers: Iterator[tuple[int, float]], value: dict[str, Any], bar: Bar
    ) -> None:
        for number, moment in numbers:
            began = time.perf_counter()
            if began < moment:
                await asyncio.sleep(moment - began)
                began = time.perf_counter()
            run = await self._client.start(self._workflow, {"n": number, **value})
            ended = await run.wait(PATIENCE)
            self.latencies.append(time.perf_counter() - began)
            expect_completed(run.id, ended.status)
            bar.advance()


def expect_completed(execution: str, status: str) -> None:
    """A figure is worth nothing when the work was not done."""
    if status != "completed":
        raise InternalError(f"execution {execution} of the benchmark is {status}")


def _share(value: int | None, count: int) -> float | None:
    return None if value is None else round(value / count, 4)
