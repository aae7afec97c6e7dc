"""One execution with many parallel steps and a join."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.measuring import Load, Meter
from flunq.bench.options import Sizes
from flunq.bench.statistics import percentile

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster

DEFAULTS = Sizes(executions=5, steps=500)


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Run the fork a few times, one after the other; the median counts."""
    executions, branches = sizes.executions or 1, sizes.steps or 1
    workflow = await cluster.prepare(documents.fanout(branches))
    cluster.tell(f"{executions} executions of {branches} parallel steps and a join")
    await Load(cluster, workflow).run(1, 1)
    load = Load(cluster, workflow)
    async with Meter(cluster) as meter:
        await load.run(executions, 1)
    median = percentile(load.latencies, 0.5)
    return {
        "fanout_ms": round(median * 1000, 2),
        "fanout_best_ms": round(min(load.latencies) * 1000, 2),
        "fanout_worst_ms": round(max(load.latencies) * 1000, 2),
        "steps_per_second": round(branches / median, 1),
        "per_step": meter.per(executions * branches),
        **meter.cost,
    }
