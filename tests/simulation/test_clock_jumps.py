"""The machines' clock is set ahead and back while executions wait, retry and time out."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from flunq.chaos.checking import check
from flunq.testing.invariants import Archive
from tests.support.virtual import HEAD, in_cluster
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

JUMP = 120.0
BODY = """
do:
- first: {wait: {seconds: 3}}
- late: {try: [{w: {wait: PT9H, timeout: {after: PT4S}}}], catch: {do: [{s: {set: {late: true}}}]}}
- again: {wait: {seconds: 2}}
"""


async def run_jumping(cluster: Cluster, client: Client, jumps: list[tuple[float, float]]) -> float:
    """Run some executions while the clock jumps; return for how long it really took."""
    await client.apply(HEAD % "jumped" + BODY)
    began = asyncio.get_running_loop().time()
    ids = [f"x{number}" for number in range(3)]
    for id_ in ids:
        await client.start("jumped", {}, id=id_)
    for number, (pause, seconds) in enumerate(jumps):
        await elapse(pause)
        cluster.clock.jump(seconds)
        if number % 2:
            cluster.machines["m0"].crash()
            cluster.wire.later(0.3, cluster.machines["m0"].start)
    for id_ in ids:
        assert (await client.result(id_, timeout=99 * JUMP)).output == {"late": True}
    archive = Archive(cluster.wire.journal.archive, cluster.wire.blobs)
    assert list(check(archive, ids, one_clock=False)) == []
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("seed", range(4))
def test_no_timer_is_early_and_nothing_is_lost_whatever_the_clock_does(seed: int) -> None:
    random = Random(seed)
    jumps = [(random.uniform(0.1, 3), random.uniform(-JUMP, JUMP)) for _ in range(4)]

    async def situation(cluster: Cluster, client: Client) -> float:
        return await run_jumping(cluster, client, jumps)

    back = -sum(min(seconds, 0.0) for _, seconds in jumps)
    assert in_cluster(situation) < 9 + back + 30


def test_a_clock_that_is_set_back_makes_a_timer_late_by_as_much() -> None:
    async def situation(cluster: Cluster, client: Client) -> float:
        return await run_jumping(cluster, client, [(1.0, -JUMP)])

    assert JUMP < in_cluster(situation) < JUMP + 30


def test_a_clock_that_is_set_ahead_makes_no_timer_wait_longer() -> None:
    async def situation(cluster: Cluster, client: Client) -> float:
        return await run_jumping(cluster, client, [(1.0, JUMP)])

    assert in_cluster(situation) < 10
