"""Executions that get something from a web server: requests per second through the engine."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from flunq.bench import documents
from flunq.bench.measuring import Load, Meter
from flunq.bench.options import Sizes
from flunq.bench.statistics import spread
from flunq.bench.stub import http_stub

if TYPE_CHECKING:
    from flunq.bench.cluster import BenchCluster
    from flunq.bench.stub import Stub

DEFAULTS = Sizes(executions=500, steps=3, in_flight=200)
_WARM_UP = 200
_RAW = 3000
_CONNECTIONS = 20


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Keep a number of executions in flight, each of several requests in a row."""
    executions, steps, in_flight = sizes.executions or 1, sizes.steps or 1, sizes.in_flight or 1
    async with http_stub() as stub:
        raw = await _requests_per_second(stub, min(_RAW, executions * steps))
        workflow = await cluster.prepare(documents.requests(steps, stub.url))
        await Load(cluster, workflow).run(min(_WARM_UP, executions), in_flight)
        load = Load(cluster, workflow)
        before = await stub.count()
        async with Meter(cluster) as meter:
            await load.run(executions, in_flight)
        served = await stub.count() - before
    done = executions * steps
    return {
        "requests_per_second": round(done / meter.wall, 1),
        "wall_seconds": round(meter.wall, 3),
        "requests_served": served,
        "raw_requests_per_second": raw,
        **spread(load.latencies, "start_to_result_"),
        "per_request": meter.per(done),
        **meter.cost,
    }


async def _requests_per_second(stub: Stub, count: int) -> float:
    """Return how fast the server answers this process without an engine and an HTTP library."""
    left = iter(range(count))

    async def get() -> None:
        async with stub.connection() as ask:
            for _ in left:
                await ask("/")

    began = time.perf_counter()
    await asyncio.gather(*(get() for _ in range(_CONNECTIONS)))
    return round(count / (time.perf_counter() - began), 1)
