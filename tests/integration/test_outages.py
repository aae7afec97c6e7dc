"""The broker is killed, stopped or out of reach; a node sleeps past its lease."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.log.nats import NatsDatabase
from flunq.services.supervising.network import free_ports
from tests.support.http_stub import HttpStub
from tests.support.processes import running_cluster
from tests.support.proxy import proxy_to
from tests.support.waiting import PATIENCE, eventually
from tests.support.workload import Load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import Cluster

pytestmark = pytest.mark.timeout(60)
HOLD = """
document: {dsl: 1.0.3, namespace: test, name: hold, version: 1.0.0}
do:
  - until: {call: hold, with: {path: '${ .path }'}}
"""


async def lease_ended(cluster: Cluster, node: str) -> None:
    """Return once a node that was there counts as dead."""
    async with NatsDatabase(cluster.settings("engine")) as database, asyncio.timeout(PATIENCE):
        assert node in await database.leases.live()
        while node in await database.leases.live():
            await asyncio.sleep(0.05)


async def test_a_killed_broker_comes_back_under_load(tmp_path: Path) -> None:
    async with (
        HttpStub() as ledger,
        running_cluster(tmp_path) as cluster,
        cluster.client() as client,
    ):
        load = Load(cluster, client, ledger)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(60))
            for done in (5, 25):
                await load.reached(done)
                cluster.kill("nats")
        await load.check()


async def test_a_broker_that_stands_still_for_seconds_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.services.supervisor._CHECK_INTERVAL", 0.2)
    async with (
        HttpStub() as ledger,
        running_cluster(tmp_path) as cluster,
        cluster.client() as client,
    ):
        load = Load(cluster, client, ledger)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(40))
            await load.reached(5)
            async with cluster.stopped("nats"):
                await eventually(lambda: cluster.service("nats").state == "unhealthy")
        await load.check()


async def test_a_node_that_slept_past_its_lease_cannot_write_any_more(tmp_path: Path) -> None:
    async with (
        HttpStub() as ledger,
        running_cluster(tmp_path, workers=2, lease_ttl=1.0) as cluster,
        cluster.client() as client,
    ):
        load = Load(cluster, client, ledger)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(load.run(60))
            await load.reached(10)
            async with cluster.stopped("node-1"):
                await running
        await eventually(lambda: "has another owner" in cluster.log("node-1"))
        await load.check()


async def test_tasks_of_a_dead_node_run_again_and_those_of_a_live_one_do_not(
    tmp_path: Path,
) -> None:
    go = tmp_path / "go"
    async with running_cluster(tmp_path, workers=2) as cluster, cluster.client() as client:
        await client.apply(HOLD)
        runs = [await client.start("hold", {"path": str(go)}, id=f"held-{n}") for n in range(24)]
        await eventually(lambda: len(cluster.calls().keys) == len(runs))
        dead, alive = cluster.pid("node-1"), cluster.pid("node-2")
        before = cluster.calls().by_key
        lost = {key for key, pids in before.items() if pids == [dead]}
        kept = {key for key, pids in before.items() if pids == [alive]}
        assert lost
        assert kept
        cluster.kill("node-1")
        await eventually(lambda: all(cluster.calls().keys[key] == 2 for key in lost))
        go.touch()
        assert [await run.result(20) for run in runs] == [{"found": str(go)}] * len(runs)
        after = cluster.calls().keys
        assert {after[key] for key in lost} == {2}
        assert {after[key] for key in kept} == {1}


async def test_a_commit_whose_answer_is_lost_is_recognised(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with HttpStub() as ledger, proxy_to(port) as proxy:
        node = {"nats_url": f"nats://127.0.0.1:{proxy.port}"}
        async with (
            running_cluster(tmp_path, node=node, nats_port=port) as cluster,
            cluster.client() as client,
        ):
            load = Load(cluster, client, ledger)
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run(60, in_flight=10))
                for done in (5, 15, 25, 35):
                    await load.reached(done)
                    proxy.lose_answer_to(b"flunq.journal.")
            await load.check()
            assert proxy.cuts >= 3


async def test_a_partition_of_the_network_heals(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with HttpStub() as ledger, proxy_to(port) as proxy:
        node = {"nats_url": f"nats://127.0.0.1:{proxy.port}"}
        async with (
            running_cluster(tmp_path, node=node, nats_port=port) as cluster,
            cluster.client() as client,
        ):
            load = Load(cluster, client, ledger)
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run(40))
                await load.reached(5)
                async with proxy.stalled():
                    await lease_ended(cluster, "node-1")
                await load.reached(15)
                proxy.reset()
            await load.check()
