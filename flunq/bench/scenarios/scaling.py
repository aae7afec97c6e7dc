"""How throughput changes with nodes, partitions, payloads, definitions and tenants."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

import msgspec

from flunq.bench import documents
from flunq.bench.cluster import BenchCluster, own_cluster
from flunq.bench.measuring import Load, Meter
from flunq.bench.options import BenchOptions, Sizes
from flunq.client import Client
from flunq.errors import UnavailableError, UsageError
from flunq.log.select import event_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.log.select import StreamSettings

DEFAULTS = Sizes(executions=2000, steps=5, in_flight=200)
WORKERS = (1, 2, 4)
PARTITIONS = (1, 8, 32)
PAYLOADS = (100, 10_000, 200_000)
TASKS = (5, 50, 500)
TENANTS = (1, 10, 100, 1000)
"""Each with two executions at least. With every tenant it takes the server longer to make one."""
_MOST_BYTES = 100_000_000
"""What the payloads of one run may amount to in the journal."""

_PATIENCE, _PAUSE = 20.0, 0.05


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    steps_per_second: float
    cpu: dict[str, Any]
    """Microseconds of each step, by process."""


Curves = dict[str, dict[int, Point]]


async def measure(cluster: BenchCluster, sizes: Sizes) -> dict[str, Any]:
    """Run the same load again and again with one thing changed."""
    if cluster.data is None:
        raise UsageError("scaling starts clusters of its own: leave out -c and --nats")
    most = sizes.executions or 1
    workers = [count for count in WORKERS if count <= most]
    partitions = [count for count in PARTITIONS if count <= most]
    curves: Curves = {
        "workers": {count: await _in_own(cluster, sizes, workers=count) for count in workers},
        "partitions": {n: await _in_own(cluster, sizes, partitions=n) for n in partitions},
        "payload_bytes": {size: await _payload(cluster, sizes, size) for size in PAYLOADS},
        "definition_tasks": {count: await _definition(cluster, sizes, count) for count in TASKS},
        "tenants": await _tenants(cluster, sizes),
    }
    return {
        "steps_per_second": curves["definition_tasks"][TASKS[0]].steps_per_second,
        "steps_per_second_by": _members(curves, "steps_per_second"),
        "cpu_us_per_step_by": _members(curves, "cpu"),
    }


async def _in_own(cluster: BenchCluster, sizes: Sizes, **changes: int) -> Point:
    durability = cast("Any", cluster.durability)
    assert cluster.data is not None
    options = BenchOptions(
        durability=durability, folder=cluster.data.parent, **cast("Any", changes)
    )
    async with own_cluster(options, cluster.tell) as other:
        return await _definition(other, sizes, sizes.steps or 1)


async def _definition(cluster: BenchCluster, sizes: Sizes, tasks: int) -> Point:
    """Run about the same number of steps in definitions of so many."""
    executions = max(1, (sizes.executions or 1) * (sizes.steps or 1) // tasks)
    workflow = await cluster.prepare(documents.steps(tasks))
    return await _run(cluster, {cluster: workflow}, executions, tasks, sizes.in_flight or 1)


async def _payload(cluster: BenchCluster, sizes: Sizes, size: int) -> Point:
    """Let every step hand on a value of this size."""
    steps = sizes.steps or 1
    executions = max(1, min(sizes.executions or 1, _MOST_BYTES // (size * steps)))
    workflow = await cluster.prepare(documents.carrying(steps))
    value = {"text": "x" * size}
    loads = {cluster: workflow}
    return await _run(cluster, loads, executions, steps, sizes.in_flight or 1, value)


async def _tenants(cluster: BenchCluster, sizes: Sizes) -> dict[int, Point]:
    """Spread the same load over more and more tenants."""
    points: dict[int, Point] = {}
    steps, most = sizes.steps or 1, sizes.executions or 1
    loads: dict[BenchCluster, str] = {}
    async with AsyncExitStack() as stack:
        for count in (count for count in TENANTS if count == 1 or 2 * count <= most):
            while len(loads) < count:
                cluster.tell(f"making tenant {len(loads) + 1} of {count}")
                tenant = await _tenant(cluster, f"bench-{len(loads)}", stack)
                loads[tenant] = await tenant.prepare(documents.steps(steps))
            points[count] = await _run(cluster, loads, most, steps, sizes.in_flight or 1)
    return points


async def _tenant(cluster: BenchCluster, name: str, stack: AsyncExitStack) -> BenchCluster:
    made = await cluster.client.tenants.create(name)
    assert cluster.access is not None
    settings = msgspec.structs.replace(
        cluster.access, user=made.access.user, password=made.access.password, tenant=name
    )
    client = await _connected(settings, stack)
    return BenchCluster(client, durability=cluster.durability, tell=cluster.tell)


async def _connected(settings: StreamSettings, stack: AsyncExitStack) -> Client:
    """Connect once the server has read its users again, which takes it a moment."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                client = Client(event_stream(settings), tenant=settings.tenant)
                return await stack.enter_async_context(client)
            except UnavailableError:
                await asyncio.sleep(_PAUSE)


async def _run(
    cluster: BenchCluster,
    loads: Mapping[BenchCluster, str],
    executions: int,
    steps: int,
    in_flight: int,
    value: dict[str, Any] | None = None,
) -> Point:
    """Warm up, then measure all loads at once, their executions and slots shared evenly."""
    each, slots = max(1, executions // len(loads)), max(1, in_flight // len(loads))
    room = asyncio.Semaphore(max(1, in_flight // slots))
    await _all(loads, room, min(slots, each), slots, value)
    async with Meter(cluster) as meter:
        await _all(loads, room, each, slots, value)
    done = each * len(loads) * steps
    cpu = meter.per(done)["cpu_us"]
    return Point(steps_per_second=round(done / meter.wall, 1), cpu=cpu)


async def _all(
    loads: Mapping[BenchCluster, str],
    room: asyncio.Semaphore,
    each: int,
    slots: int,
    value: dict[str, Any] | None,
) -> None:
    """Run all loads; with more of them than slots one begins where another ends."""

    async def run(subject: BenchCluster, workflow: str) -> None:
        async with room:
            await Load(subject, workflow).run(each, slots, value=value)

    async with asyncio.TaskGroup() as group:
        for subject, workflow in loads.items():
            group.create_task(run(subject, workflow))


def _members(curves: Curves, name: str) -> dict[str, Any]:
    return {
        curve: {str(size): getattr(point, name) for size, point in points.items()}
        for curve, points in curves.items()
    }
