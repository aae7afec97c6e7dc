"""Listeners of a real cluster: no event that was published while nothing ran is missed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.log.nats import NatsEventStream
from tests.support.processes import Cluster, history, running_cluster
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.client.client import Client

pytestmark = pytest.mark.timeout(90)
SLEEPY = {"checkpoint_seconds": 0.2, "hibernate_seconds": 0.1}
COLLECT = """
document: {dsl: 1.0.3, namespace: test, name: collect, version: 1.0.0}
do:
  - collect:
      listen: {to: {any: [{with: {type: reading}}], until: {one: {with: {type: enough}}}}}
      foreach:
        item: reading
        at: place
        do:
          - double: {call: bump, with: {n: '${ $reading.n }'}}
        output: {as: '${ {n, place: $place} }'}
"""


def event(id: str, kind: str, n: int = 0) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "urn:test", "type": kind, "data": {"n": n}}


async def publish(cluster: Cluster, *events: dict[str, Any]) -> None:
    """Publish on the bus without any help of a node."""
    async with NatsEventStream(cluster.settings("engine")) as stream:
        for each in events:
            body = msgspec.json.encode(each)
            await stream.bus.publish("ext", body, type=each["type"], message_id=each["id"])


async def consumed(client: Client, execution: str) -> int:
    return sum(e.type == "io.flunq.event.consumed" for e in await history(client, execution))


async def test_events_that_come_while_nothing_runs_reach_a_listener(tmp_path: Path) -> None:
    async with (
        running_cluster(tmp_path / "data", node=SLEEPY) as cluster,
        cluster.client() as client,
    ):
        await client.apply(COLLECT)
        run = await client.start("collect", {}, id="reader")
        await publish(cluster, event("1", "reading", 1))
        await eventually(lambda: cluster.calls().of("reader") == 1)
    async with (
        running_cluster(tmp_path / "data", node=SLEEPY) as cluster,
        cluster.client() as client,
    ):
        async with cluster.stopped("node-1"):
            await publish(cluster, event("2", "reading", 2), event("3", "reading", 3))
            cluster.kill("node-1")
        await cluster.restarted("node-1")
        await publish(cluster, event("1", "reading", 1), event("4", "enough"))
        run = await client.start("collect", {}, id="reader")
        expected = [{"n": 2, "place": 0}, {"n": 3, "place": 1}, {"n": 4, "place": 2}]
        assert await run.result(20) == expected
        assert await consumed(client, "reader") == 4


async def test_a_listener_that_moves_to_another_node_misses_nothing(tmp_path: Path) -> None:
    count = 40
    async with (
        running_cluster(tmp_path / "data", node=SLEEPY, workers=2) as cluster,
        cluster.client() as client,
    ):
        await client.apply(COLLECT)
        runs = [await client.start("collect", {}, id=f"reader-{n}") for n in range(8)]
        for n in range(count):
            await publish(cluster, event(str(n), "reading", n))
            if n == count // 4:
                cluster.kill("node-1")
            if n == count // 2:
                cluster.send("node-2", signal.SIGTERM)
        await publish(cluster, event("end", "enough"))
        expected = [{"n": n + 1, "place": n} for n in range(count)]
        for run in runs:
            assert await run.result(40) == expected


WATCH = """
document: {dsl: 1.0.3, namespace: test, name: watch, version: 1.0.0}
do:
  - watch:
      listen:
        to:
          any:
            - with:
                type: io.serverlessworkflow.workflow.completed.v1
                workflow: test/bump:1.0.0
          until: 'length >= 3'
        read: envelope
"""
BUMP = """
document: {dsl: 1.0.3, namespace: test, name: bump, version: 1.0.0}
do: [{up: {call: bump, with: {n: '${ .n }'}}}]
"""


async def bumped(client: Client, name: str) -> None:
    await (await client.start("bump", {"n": 1}, id=name)).result(20)


async def test_lifecycle_events_of_other_executions_can_be_listened_to(tmp_path: Path) -> None:
    async with (
        running_cluster(tmp_path / "data", node=SLEEPY, workers=2) as cluster,
        cluster.client() as client,
    ):
        await client.apply(WATCH)
        await client.apply(BUMP)
        await bumped(client, "before")
        run = await client.start("watch", {}, id="watcher")
        await bumped(client, "first")
        cluster.kill("node-1")
        await bumped(client, "second")
        cluster.kill("node-2")
        await bumped(client, "third")
        await bumped(client, "late")
        events = await run.result(30)
        assert [e["subject"] for e in events] == ["first", "second", "third"]
        assert events[0]["data"]["output"] == {"n": 2}
        assert set(events[0]["data"]) == {"name", "completedAt", "output"}
