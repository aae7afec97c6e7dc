"""A steady load for a long time: whether memory grows with what has been done."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.measuring import Load, Meter
from flunq.bench.options import Sizes
from flunq.bench.processes import CLIENT, memory_of, read_usage
from flunq.bench.statistics import slope, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.bench.cluster import BenchCluster

DEFAULTS = Sizes(executions=720_000, steps=3, in_flight=200, milliseconds=3_600_000)
_SAMPLES = 60
_SETTLED = 3
"""The first 1/3 of the time is not looked at: caches and thresholds fill then."""


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Spread executions evenly over the time and look at the memory of all processes."""
    executions, seconds = sizes.executions or 1, (sizes.milliseconds or 1) / 1000
    workflow = await cluster.prepare(documents.steps(sizes.steps or 1))
    load = Load(cluster, workflow)
    watch = _Watch(cluster, executions, seconds)
    async with Meter(cluster) as meter, asyncio.TaskGroup() as group:
        watching = group.create_task(watch.look())
        await load.run(executions, sizes.in_flight or 1, at=_evenly(executions, seconds))
        watching.cancel()
    watch.sample()
    done = executions * (sizes.steps or 1)
    return {
        **watch.growth(),
        "steps_per_second": round(done / meter.wall, 1),
        "wall_seconds": round(meter.wall, 1),
        **spread(load.latencies, "start_to_result_"),
        "per_step": meter.per(done),
        "bytes_after_seconds": {f"{one['seconds']:g}": one["all"] for one in watch.samples},
    }


def _evenly(executions: int, seconds: float) -> Iterator[float]:
    """Yield the moments at which executions begin."""
    began = time.perf_counter()
    return (began + number * seconds / executions for number in range(executions))


class _Watch:
    """Readings of the cluster's memory."""

    def __init__(self, cluster: BenchCluster, executions: int, seconds: float) -> None:
        self._cluster = cluster
        self._rate = executions / seconds
        self._pause = seconds / _SAMPLES
        self._began = time.perf_counter()
        self.samples: list[dict[str, Any]] = []

    async def look(self) -> None:
        """Read until cancelled."""
        while True:
            self.sample()
            self._cluster.tell(f"{self.samples[-1]}")
            await asyncio.sleep(self._pause)

    def sample(self) -> None:
        """Read once."""
        memory = memory_of(read_usage(self._cluster.pids))
        memory.pop(CLIENT, None)
        at = round(time.perf_counter() - self._began, 1)
        self.samples.append({"seconds": at, "all": sum(memory.values()), **memory})

    def growth(self) -> dict[str, Any]:
        """Return how memory grew once it had settled, per execution and in all."""
        settled = self.samples[len(self.samples) // _SETTLED :]
        moments = [sample["seconds"] for sample in settled]
        figures: dict[str, Any] = {}
        for name in settled[0]:
            if name != "seconds":
                per_second = slope(moments, [sample[name] for sample in settled])
                figures[name] = round(per_second / self._rate, 2)
        return {
            "bytes_per_execution": figures.pop("all"),
            "bytes_per_execution_of": figures,
            "settled_bytes": settled[0]["all"],
            "final_bytes": settled[-1]["all"],
        }
