"""Many waits that begin at once: how late they end, and that none ends early."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.measuring import PATIENCE, Meter, expect_completed
from flunq.bench.options import Sizes
from flunq.bench.statistics import spread
from flunq.core.events import TASK_COMPLETED, TASK_STARTED

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster
    from flunq.client import Run

DEFAULTS = Sizes(executions=2000, milliseconds=2000)
_READERS = 50


class _Lateness:
    """How late each wait was for the engine and for the client, in seconds."""

    def __init__(self) -> None:
        self.engine: list[float] = []
        self.client: list[float] = []

    async def note(self, run: Run, arrived: float) -> None:
        """Compare an execution's history with what it should have been."""
        due = ended = 0.0
        async for event in run.history():
            if event.type == TASK_STARTED:
                due = event.value()["due"] / 1_000_000
            elif event.type == TASK_COMPLETED:
                ended = datetime.fromisoformat(event.time).timestamp()
        self.engine.append(ended - due)
        self.client.append(arrived - due)


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Start every wait at once; a wait is over when the client has the result."""
    executions, milliseconds = sizes.executions or 1, sizes.milliseconds or 1
    workflow = await cluster.prepare(documents.waiting(milliseconds))
    cluster.tell(f"{executions} waits of {milliseconds} ms at once")
    arrivals: list[tuple[Run, float]] = []

    async def wait_once() -> None:
        run = await cluster.client.start(workflow, {})
        ended = await run.wait(PATIENCE)
        arrivals.append((run, time.time()))
        expect_completed(run.id, ended.status)

    async with Meter(cluster) as meter, asyncio.TaskGroup() as group:
        for _ in range(executions):
            group.create_task(wait_once())
    lateness = await _read_histories(cluster, arrivals)
    return {
        **spread(lateness.client, "lateness_"),
        **spread(lateness.engine, "engine_lateness_"),
        "early": sum(late < 0 for late in [*lateness.engine, *lateness.client]),
        "wall_seconds": round(meter.wall, 3),
        "per_execution": meter.per(executions),
        **meter.cost,
    }


async def _read_histories(cluster: BenchCluster, arrivals: list[tuple[Run, float]]) -> _Lateness:
    cluster.tell("comparing the histories")
    lateness = _Lateness()
    left = iter(arrivals)

    async def read() -> None:
        for run, arrived in left:
            await lateness.note(run, arrived)

    async with asyncio.TaskGroup() as group:
        for _ in range(_READERS):
            group.create_task(read())
    return lateness
