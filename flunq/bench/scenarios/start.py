"""One execution with one step after the other: how long from start to result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.measuring import PATIENCE, Load, Meter, expect_completed
from flunq.bench.options import Sizes
from flunq.bench.statistics import spread

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster

DEFAULTS = Sizes(executions=500, steps=1)
_WARM_UP = 20


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Start, wait for the result, start the next."""
    executions = sizes.executions or 1
    workflow = await cluster.prepare(documents.steps(sizes.steps or 1))
    await Load(cluster, workflow).run(min(_WARM_UP, executions), 1)
    cluster.tell(f"{executions} executions, one at a time")
    durable: list[float] = []
    results: list[float] = []
    async with Meter(cluster) as meter:
        for number in range(executions):
            began = time.perf_counter()
            run = await cluster.client.start(workflow, {"n": number})
            durable.append(time.perf_counter() - began)
            ended = await run.wait(PATIENCE)
            results.append(time.perf_counter() - began)
            expect_completed(run.id, ended.status)
    return {
        **spread(results, "start_to_result_"),
        **spread(durable, "start_durable_"),
        "executions_per_second": round(executions / meter.wall, 1),
        "per_execution": meter.per(executions),
        **meter.cost,
    }
