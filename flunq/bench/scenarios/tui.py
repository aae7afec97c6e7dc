"""The monitor: how soon it paints, how it lists, scrolls and listens, and what memory it takes."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.bench.options import Sizes
from flunq.bench.painting import first_paint
from flunq.bench.recorded import document, pattern_input
from flunq.errors import InternalError, UsageError

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster
    from flunq.core.events import LazyEvent

DEFAULTS = Sizes(executions=100_000, steps=5_000_000, in_flight=5_000, milliseconds=5_000)
"""Executions in the list, events of the tail, events per second under the keys, and how long."""
_REPEATS = 3
_EVENTS_AT_LEAST = 100


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Start the monitor on the cluster and on a file, then on a crowd as large as it gets."""
    if cluster.access is None:
        raise UsageError("the monitor needs a cluster of its own", hint="leave out --nats and -c")
    workflow = await cluster.prepare(document(3))
    run = await cluster.client.start(workflow, pattern_input(3, refuse=False))
    await run.wait(60.0)
    cluster.tell("first paint")
    with tempfile.TemporaryDirectory(prefix="flunq-bench-") as folder:
        file = await _export(cluster, run.id, Path(folder))
        painted = {
            "first_paint_ms": await _best(cluster.environment()),
            "first_paint_of_a_file_ms": await _best(cluster.environment(), "--file", str(file)),
        }
    cluster.tell("lists, keys and the tail")
    history = [event async for event in cluster.client.history(run.id)]
    return {**painted, **await _monitored(sizes, history)}


async def _export(cluster: BenchCluster, execution: str, folder: Path) -> Path:
    from flunq.client.export import export_execution

    path = folder / "execution.flunq.gz"
    await export_execution(cluster.client, execution, path)
    return path


async def _best(environment: dict[str, str], *arguments: str) -> float:
    taken = [await asyncio.to_thread(first_paint, environment, arguments) for _ in range(_REPEATS)]
    return round(min(taken) * 1000, 1)


async def _monitored(sizes: Sizes, history: list[LazyEvent]) -> dict[str, Any]:
    """Measure in a process in which there is nothing but the monitor."""
    given = {
        "executions": max(sizes.executions or 1, 2),
        "events": max(sizes.steps or 1, _EVENTS_AT_LEAST),
        "per_second": sizes.in_flight or 1,
        "milliseconds": sizes.milliseconds or 1,
        "history": history,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "flunq.bench.monitored"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    found, said = await process.communicate(msgspec.json.encode(given))
    if process.returncode:
        raise InternalError(f"the monitor failed: {said.decode(errors='replace')[-500:]}")
    figures: dict[str, Any] = msgspec.json.decode(found)
    return figures
