"""A node is killed in the middle of its work: how long until all is done, and what ran twice."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.bar import Bar
from flunq.bench.measuring import PATIENCE, Load
from flunq.bench.options import Sizes
from flunq.bench.statistics import spread
from flunq.errors import FlunqError, UsageError

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster
    from flunq.client import Run

DEFAULTS = Sizes(executions=500, steps=5, in_flight=500, milliseconds=20)
_LOOK = 0.002


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Start everything, kill a node once half of the steps have run, wait for every result."""
    if "node-1" not in cluster.pids:
        raise UsageError("recovery kills a node, so it only measures a cluster of its own")
    executions, steps = sizes.executions or 1, sizes.steps or 1
    with tempfile.TemporaryDirectory(prefix="flunq-bench-", dir=cluster.data) as folder:
        diary = _Diary(Path(folder) / "steps")
        workflow = await cluster.prepare(documents.noted(steps, sizes.milliseconds or 1))
        await Load(cluster, workflow).run(1, 1, value={"diary": os.devnull})
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(_kill(cluster, diary, executions * steps // 2))
            results = _Results(cluster, executions)
            await results.collect(workflow, diary, sizes.in_flight or 1)
            wall = time.perf_counter() - began
            killing.cancel()
        killed, before = killing.result()
        lines = diary.lines()
    after = [moment - killed for moment in results.ended if moment > killed]
    return {
        "seconds_after_kill": round(began + wall - killed, 3),
        "first_result_after_kill_seconds": round(min(after, default=0.0), 3),
        "wall_seconds": round(wall, 3),
        "steps_before_kill": before,
        "lost": executions - results.completed,
        "steps_run": len(set(lines)),
        "steps_repeated": len(lines) - len(set(lines)),
        **spread(after, "result_after_kill_"),
    }


class _Diary:
    """The file in which every run of a step leaves a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> list[bytes]:
        """Return the idempotency key of each run."""
        return self.path.read_bytes().splitlines()


async def _kill(cluster: BenchCluster, diary: _Diary, after: int) -> tuple[float, int]:
    """Kill the first node once so many steps have run; return when, and how many had."""
    node = cluster.pids["node-1"]
    while len(diary.lines()) < max(1, after):  # noqa: ASYNC110 - other processes write it
        await asyncio.sleep(_LOOK)
    os.kill(node, signal.SIGKILL)
    return time.perf_counter(), len(diary.lines())


class _Results:
    """Starts executions and takes what becomes of them; one that is lost is counted."""

    def __init__(self, cluster: BenchCluster, executions: int) -> None:
        self._client = cluster.client
        self._numbers = iter(range(executions))
        self._bar = Bar(cluster.tell, executions)
        self._most = executions
        self.completed = 0
        self.ended: list[float] = []

    async def collect(self, workflow: str, diary: _Diary, in_flight: int) -> None:
        """Run all executions to their end, a number at a time."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, self._most)):
                group.create_task(self._some(workflow, str(diary.path)))

    async def _some(self, workflow: str, diary: str) -> None:
        for number in self._numbers:
            run = await self._client.start(
                workflow, {"n": number, "diary": diary}, timeout=PATIENCE
            )
            completed = await _is_completed(run)
            self.completed += completed
            self.ended.append(time.perf_counter())
            self._bar.advance()


async def _is_completed(run: Run) -> bool:
    try:
        return (await run.wait(PATIENCE)).status == "completed"
    except FlunqError:
        return False  # it is lost, which the figures say
