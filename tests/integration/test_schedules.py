"""Schedules on real processes that are killed: no fire and no event is lost or doubled."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.scheduling.fires import events_id, fire_id, fires
from flunq.core.scheduling.plan import compile_plan
from flunq.log.nats import NatsEventStream
from tests.support.processes import running_cluster

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.client.client import Client
    from tests.support.processes import Cluster

pytestmark = pytest.mark.timeout(120)

HEAD = "document: {{dsl: 1.0.3, namespace: t, name: {name}, version: 1.0.0}}\n"
EVERY = HEAD + "schedule: {{every: {{milliseconds: 200}}}}\ndo:\n  - a: {{set: {{x: 1}}}}\n"
ON = HEAD + (
    "schedule: {{on: {{one: {{with: {{type: com.example.paid}}}}}}}}\n"
    "do:\n  - a: {{set: {{got: '${{ $workflow.input[0].data }}'}}}}\n"
)
PAIR = HEAD + (
    "schedule:\n  on:\n    all:\n"
    "      - {{with: {{type: com.example.paid}}, correlate: {{n: {{from: .data.n}}}}}}\n"
    "      - {{with: {{type: com.example.sent}}, correlate: {{n: {{from: .data.n}}}}}}\n"
    "do:\n  - a: {{set: {{count: '${{ $workflow.input | length }}'}}}}\n"
)


async def started(client: Client, name: str) -> Counter[str]:
    """Return the executions of a workflow."""
    found = await client.list(limit=10_000, workflow=f"t/{name}")
    return Counter(each.id for each in found)


async def many(client: Client, name: str, count: int) -> Counter[str]:
    """Return the executions of a workflow once there are so many."""
    while len(found := await started(client, name)) < count:
        await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize("workers", [1, 2])
async def test_kills_neither_lose_nor_double_a_fire(tmp_path: Path, workers: int) -> None:
    async with running_cluster(tmp_path, workers=workers) as cluster, cluster.client() as client:
        await client.apply(EVERY.format(name="beat"))
        for count in range(1, 4):
            await many(client, "beat", 6 * count)
            for number in range(workers):
                cluster.kill(f"node-{number + 1}")
        await many(client, "beat", 30)
        await client.schedules.pause("beat")
        # What came due before the pause may still be on its way to its owner.
        while (view := await client.schedules.get("beat")).pending:
            await asyncio.sleep(0.05)
        found = await started(client, "beat")
        plan = compile_plan(view.schedule)
        assert view.paused_at is not None
        due = fires(plan, view.since, view.since, 10_000, upto=view.paused_at)
        wanted = [fire_id("t", "beat", at) for at in due]
        begun = next(place for place, one in enumerate(wanted) if one in found)
        assert begun <= 5, "those of the second in which it came into force"
        assert set(found) == set(wanted[begun:])
        assert view.counts.missed == view.counts.refused == 0


async def publish(cluster: Cluster, kind: str, numbers: range) -> None:
    """Store events on the bus without asking any node."""
    async with NatsEventStream(cluster.settings("client")) as stream:
        for number in numbers:
            name = f"com.example.{kind}"
            event: dict[str, Any] = {
                "specversion": "1.0",
                "id": f"{kind}-{number}",
                "source": "/t",
                "type": name,
                "data": {"n": number},
            }
            body = msgspec.json.encode(event)
            await stream.bus.publish("ext", body, type=name, message_id=str(event["id"]))


async def test_events_that_come_while_no_node_runs_start_their_executions(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, workers=1) as cluster, cluster.client() as client:
        await client.apply(ON.format(name="paid"))
        await client.apply(PAIR.format(name="pair"))
        await publish(cluster, "paid", range(3))
        await many(client, "paid", 3)
        async with cluster.stopped("node-1"):
            await publish(cluster, "paid", range(3, 10))
            await publish(cluster, "sent", range(5))
            cluster.kill("node-1")
        await cluster.restarted("node-1")
        await publish(cluster, "sent", range(5, 10))
        ones, pairs = await many(client, "paid", 10), await many(client, "pair", 10)
        assert set(ones) == {events_id("t", "paid", [f"/t paid-{n}"]) for n in range(10)}
        assert set(pairs) == {
            events_id("t", "pair", [f"/t paid-{n}", f"/t sent-{n}"]) for n in range(10)
        }
        result = await client.result(next(iter(pairs)), timeout=20)
        assert result.output == {"count": 2}
