"""Processes are killed and stopped while executions run: nothing is lost, doubled or wrong."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.support.http_stub import HttpStub
from tests.support.processes import running_cluster
from tests.support.workload import Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes import Cluster

pytestmark = pytest.mark.timeout(120)
EXECUTIONS = 200
SEEDS = [(1, 1), (2, 2)]
"""Nodes and seed; FLUNQ_TEST_SEEDS=N adds N runs of each kind."""
SEEDS += [(1 + n % 2, 3 + n) for n in range(2 * int(os.environ.get("FLUNQ_TEST_SEEDS", "0")))]


class Chaos:
    """A seeded row of faults; each is over before the next begins."""

    def __init__(self, cluster: Cluster, seed: int, names: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)
        self._names = names

    def plan(self, count: int) -> Iterator[tuple[str, str, float]]:
        """Yield what happens to whom, and for how long if that has a length."""
        names = [*self._names] * (count // len(self._names) + 1)
        self._random.shuffle(names)
        for name in names[:count]:
            fault = self._random.choice(("kill", "stop"))
            yield name, fault, self._random.uniform(0.5, 2.5)

    async def run(self, count: int, load: Load, total: int) -> None:
        """Spread faults over the work: one each time another part of it is done."""
        for number, (name, fault, seconds) in enumerate(self.plan(count)):
            await load.reached(total * (number + 1) // (count + 2))
            if fault == "kill":
                self._cluster.kill(name)
            else:
                async with self._cluster.stopped(name):
                    await asyncio.sleep(seconds)


@pytest.mark.parametrize(("workers", "seed"), SEEDS, ids=[f"{w} nodes, seed {s}" for w, s in SEEDS])
async def test_executions_survive_kills_and_pauses_of_every_process(
    tmp_path: Path, workers: int, seed: int
) -> None:
    names = ("nats", "control", *(f"node-{n + 1}" for n in range(workers)))
    async with (
        HttpStub() as ledger,
        running_cluster(tmp_path, workers=workers) as cluster,
        cluster.client() as client,
    ):
        load = Load(cluster, client, ledger)
        chaos = Chaos(cluster, seed, names)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(EXECUTIONS))
            group.create_task(chaos.run(5, load, EXECUTIONS))
        await load.check()
        assert len(load.acknowledged) == EXECUTIONS
