"""Many executions at once: steps per second, each step durable before the next begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.measuring import Load, Meter
from flunq.bench.options import Sizes
from flunq.bench.statistics import spread

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster

DEFAULTS = Sizes(executions=2000, steps=5, in_flight=200)


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Keep a number of executions in flight, each until the client has its result."""
    executions, steps, in_flight = sizes.executions or 1, sizes.steps or 1, sizes.in_flight or 1
    workflow = await cluster.prepare(documents.steps(steps))
    cluster.tell(f"warming up, then {executions} executions of {steps} steps")
    await Load(cluster, workflow).run(min(in_flight, executions), in_flight)
    load = Load(cluster, workflow)
    async with Meter(cluster) as meter:
        await load.run(executions, in_flight)
    done = executions * steps
    return {
        "steps_per_second": round(done / meter.wall, 1),
        "executions_per_second": round(executions / meter.wall, 1),
        "wall_seconds": round(meter.wall, 3),
        **spread(load.latencies, "start_to_result_"),
        "per_step": meter.per(done),
        **meter.cost,
    }
