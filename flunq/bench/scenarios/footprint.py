"""What flunq takes: memory under load and per sleeping execution; cold starts; the idle cost."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.cold import cold_starts
from flunq.bench.measuring import Load
from flunq.bench.options import Sizes
from flunq.bench.processes import (
    CLIENT,
    Usage,
    memory_of,
    peak_of,
    read_usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.bench.cluster import BenchCluster

DEFAULTS = Sizes(executions=100_000, steps=5, in_flight=200, milliseconds=15_000)
_HOURS = 12
_LOAD = 0.02
"""The share of executions that the throughput run before has."""
_STARTERS = 500
_ROUNDS = 4
"""The first round shows what starting takes, the others what sleeping takes."""
_MILLION = 1_000_000


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Load a cluster, let many executions sleep in it, then look at cold starts."""
    executions, pause = sizes.executions or 1, (sizes.milliseconds or 0) / 1000
    await _load(cluster, sizes)
    peak = peak_of(read_usage(cluster.pids))
    after = await _settled(cluster, pause)
    asleep = [_nodes(after)]
    seconds = 0.0
    part = max(1, executions // _ROUNDS)
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await _put_to_sleep(cluster, part)
        seconds += time.perf_counter() - began
        after = await _settled(cluster, pause)
        asleep.append(_nodes(after))
    before, full = asleep[0], asleep[-1]
    # What a burst of starts takes while it lasts stays with the process, however many sleep.
    slope = median(later - earlier for earlier, later in pairwise(asleep[1:])) / part
    return {
        **await cold_starts(cluster, pause),
        "load_peak_bytes": peak,
        "sleeping_executions": executions,
        "sleeping_started_per_second": round(executions / seconds, 1),
        "node_bytes_before": before,
        "node_bytes_asleep": full,
        "node_bytes_peak": _nodes(_peaks(cluster)),
        "bytes_per_sleeping_execution": round((full - before) / executions, 1),
        "bytes_per_further_sleeping_execution": round(slope, 1),
        "node_bytes_at_a_million": round(full + slope * (_MILLION - executions)),
        "bytes_asleep": {name: size for name, size in memory_of(after).items() if name != CLIENT},
    }


def _peaks(cluster: BenchCluster) -> dict[str, Usage]:
    """Return readings whose resident bytes are the highest there were."""
    readings = read_usage(cluster.pids)
    return {name: Usage(resident=usage.peak) for name, usage in readings.items()}


async def _load(cluster: BenchCluster, sizes: Sizes) -> None:
    workflow = await cluster.prepare(documents.steps(sizes.steps or 1))
    cluster.tell("the peak under load")
    count = max(1, round((sizes.executions or 1) * _LOAD))
    await Load(cluster, workflow).run(count, sizes.in_flight or 1)


async def _put_to_sleep(cluster: BenchCluster, executions: int) -> None:
    workflow = await cluster.prepare(documents.waiting(_HOURS * 3_600_000))
    cluster.tell(f"putting {executions} executions to sleep")
    numbers = iter(range(executions))

    async def start() -> None:
        for number in numbers:
            await cluster.client.start(workflow, {"n": number})

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_STARTERS, executions)):
            group.create_task(start())


async def _settled(cluster: BenchCluster, seconds: float) -> dict[str, Usage]:
    """Give checkpoints the time to put what is idle out of memory."""
    cluster.tell(f"letting memory settle for {seconds:g} s")
    await asyncio.sleep(seconds)
    return read_usage(cluster.pids)


def _nodes(readings: dict[str, Usage]) -> int:
    return sum(_of_nodes(readings))


def _of_nodes(readings: dict[str, Usage]) -> Iterator[int]:
    return (usage.resident for name, usage in readings.items() if name.startswith("node"))
