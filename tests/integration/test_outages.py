"""The broker is killed, stopped or out of reach; a node sleeps past its lease."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.services.supervising.network import free_ports
from tests.support.http_stub import HttpStub
from tests.support.processes import eventually, running_cluster
from tests.support.proxy import proxy_to
from tests.support.workload import Load

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.serial, pytest.mark.timeout(60)]
DAWDLE = """
document: {dsl: 1.0.3, namespace: test, name: dawdle, version: 1.0.0}
do:
  - slow: {call: dawdle, with: {n: '${ .n }', seconds: '${ .seconds }'}}
"""


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


async def test_a_broker_that_stands_still_for_seconds_loses_nothing(tmp_path: Path) -> None:
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
                await asyncio.sleep(6)
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
    async with running_cluster(tmp_path, workers=2) as cluster, cluster.client() as client:
        await client.apply(DAWDLE)
        runs = [
            await client.start("dawdle", {"n": n, "seconds": 2}, id=f"slow-{n}") for n in range(24)
        ]
        await eventually(lambda: len(cluster.calls().keys) == len(runs))
        dead, alive = cluster.pid("node-1"), cluster.pid("node-2")
        cluster.kill("node-1")
        assert [await run.result(20) for run in runs] == [{"n": n + 1} for n in range(len(runs))]
        calls = cluster.calls()
        lost = {key for key, pids in calls.by_key.items() if dead in pids}
        assert lost
        assert all(len(calls.by_key[key]) == 2 for key in lost)
        kept = calls.by_key.keys() - lost
        assert kept
        assert all(calls.by_key[key] == [alive] for key in kept)


async def test_a_commit_whose_answer_is_lost_is_recognised(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with HttpStub() as ledger, proxy_to(port) as proxy:
        node = {"nats_url": f"nats://127.0.0.1:{proxy.port}"}
        async with running_cluster(tmp_path, node=node, nats_port=port) as cluster:
            async with cluster.client() as client:
                load = Load(cluster, client, ledger)
                async with asyncio.TaskGroup() as group:
                    group.create_task(load.run(60))
                    for done in (5, 15, 25, 35, 45):
                        await load.reached(done)
                        proxy.lose_answer_to(b"flunq.journal.")
                await load.check()
                assert proxy.cuts >= 3


async def test_a_partition_of_the_network_heals(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with HttpStub() as ledger, proxy_to(port) as proxy:
        node = {"nats_url": f"nats://127.0.0.1:{proxy.port}"}
        async with running_cluster(tmp_path, node=node, nats_port=port) as cluster:
            async with cluster.client() as client:
                load = Load(cluster, client, ledger)
                async with asyncio.TaskGroup() as group:
                    group.create_task(load.run(40))
                    await load.reached(5)
                    async with proxy.stalled():
                        await asyncio.sleep(4)
                    await load.reached(15)
                    proxy.reset()
                await load.check()
