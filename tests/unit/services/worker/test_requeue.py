from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.virtual import HEAD, in_cluster, owner_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

STEPS = HEAD % "steps" + "do: [{x: {call: step, with: {n: 1}}}, {y: {call: step, with: {n: 2}}}]\n"


async def queue_without_executors(cluster: Cluster, client: Client, count: int) -> None:
    """Start executions whose first task is queued, for no process runs such tasks."""
    cluster.add("owner", ("worker",))
    await client.apply(STEPS)
    for number in range(count):
        await client.start("steps", id=f"x{number}")
    queue = cluster.wire.queue("default/tasks")
    while sum(queue.count(f"x{number}") for number in range(count)) < count:
        await elapse(0.1)


def test_tasks_that_the_queue_has_lost_are_queued_again() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await queue_without_executors(cluster, client, 5)
        cluster.wire.queue("default/tasks").lose(3)
        cluster.add("hand", ("executor",))
        return [(await client.result(f"x{number}", timeout=60)).status for number in range(5)]

    assert in_cluster(situation, machines=0) == ["completed"] * 5


def test_tasks_that_are_still_queued_are_left_alone() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[int, int]:
        await queue_without_executors(cluster, client, 3)
        commits = owner_of(cluster).committer.commits
        await elapse(300)
        queue = cluster.wire.queue("default/tasks")
        return owner_of(cluster).committer.commits - commits, queue.count("x0")

    assert in_cluster(situation, machines=0) == (0, 1)
