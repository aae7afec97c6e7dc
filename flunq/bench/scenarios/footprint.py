"""What flunq takes: cold starts, idle memory and CPU, memory per sleeping execution, the peak."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.cold import cold_starts
from flunq.bench.measuring import Load
from flunq.bench.options import Sizes
from flunq.bench.processes import (
    CLIENT,
    Usage,
    cpu_between,
    memory_of,
    peak_of,
    read_usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.bench.cluster import BenchCluster

DEFAULTS = Sizes(executions=100_000, steps=5, in_flight=200, milliseconds=40_000)
_HOURS = 12
_LOAD = 0.02
"""The share of executions that the throughput run before has."""
_STARTERS = 500


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Look at an idle cluster, load it, then let many executions sleep in it."""
    executions, pause = sizes.executions or 1, (sizes.milliseconds or 0) / 1000
    idle = await _idle(cluster, pause / 8)
    await _load(cluster, sizes)
    peak = peak_of(read_usage(cluster.pids))
    before = await _settled(cluster, pause)
    began = time.perf_counter()
    await _put_to_sleep(cluster, executions)
    seconds = time.perf_counter() - began
    after = await _settled(cluster, pause)
    node = _nodes(after) - _nodes(before)
    return {
        **await cold_starts(cluster),
        **idle,
        "peak_bytes": peak,
        "sleeping_executions": executions,
        "sleeping_started_per_second": round(executions / seconds, 1),
        "node_bytes_before": _nodes(before),
        "node_bytes_asleep": _nodes(after),
        "node_bytes_peak": _nodes(_peaks(cluster)),
        "bytes_per_sleeping_execution": round(node / executions, 1),
        "bytes_asleep": {name: size for name, size in memory_of(after).items() if name != CLIENT},
    }


def _peaks(cluster: BenchCluster) -> dict[str, Usage]:
    """Return readings whose resident bytes are the highest there were."""
    readings = read_usage(cluster.pids)
    return {name: Usage(resident=usage.peak) for name, usage in readings.items()}


async def _idle(cluster: BenchCluster, seconds: float) -> dict[str, Any]:
    """Watch a cluster that has nothing to do."""
    cluster.tell("watching the idle cluster")
    before = read_usage(cluster.pids)
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    taken = max(time.perf_counter() - began, 0.001)
    after = read_usage(cluster.pids)
    cpu = {name: used / taken * 100 for name, used in cpu_between(before, after).items()}
    memory = memory_of(after)
    del cpu[CLIENT], memory[CLIENT]
    return {
        "idle_bytes": {**memory, "all": sum(memory.values())},
        "idle_cpu_percent": {
            **{name: round(share, 2) for name, share in cpu.items()},
            "all": round(sum(cpu.values()), 2),
        },
    }


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
