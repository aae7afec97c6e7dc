"""Ended executions whose time is over: dropped by events, agreed upon by every later owner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flunq.core.events import EXPIRED, LazyEvent, decode_batch_lazily
from flunq.errors import NotFoundError
from flunq.services.worker.places import Place, PlaceBook
from tests.support.virtual import in_cluster, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

KEPT = """
document:
  {dsl: 1.0.3, namespace: test, name: %s, version: %s, metadata: {retention: %s}}
do: [{x: {set: {n: 1}}}]
"""
PLAIN = """
document: {dsl: 1.0.3, namespace: test, name: plain, version: 1.0.0}
do: [{x: {set: {n: 1}}}]
"""


async def run_all(client: Client, workflow: str, count: int, prefix: str) -> None:
    for number in range(count):
        run = await client.start(workflow, id=f"{prefix}{number}")
        await run.wait(20)
        await elapse(1)


async def ids(client: Client) -> list[str]:
    return sorted(each.id for each in await client.list(limit=100))


async def expired(cluster: Cluster) -> list[LazyEvent]:
    async with stream_of(cluster) as stream:
        records = [r async for r in stream.journal.read(0, after=0, upto=1 << 60)]
    events = [event for record in records for event in decode_batch_lazily(record.data)]
    return [event for event in events if event.type == EXPIRED]


def test_a_workflow_keeps_its_newest() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[list[str], list[Any]]:
        await client.apply(KEPT % ("few", "1.0.0", "{keep: 2}"))
        await client.apply(PLAIN)
        await run_all(client, "few", 5, "f")
        await run_all(client, "plain", 2, "p")
        await elapse(90)
        return await ids(client), [
            (event.subject, event.seq, event.value()["reason"]) for event in await expired(cluster)
        ]

    left, events = in_cluster(situation)
    assert left == ["f3", "f4", "p0", "p1"]
    assert sorted(subject for subject, _, _ in events) == ["f0", "f1", "f2"]
    assert {(seq, reason) for _, seq, reason in events} == {(6, "count")}


def test_what_is_old_goes_and_what_runs_stays() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await client.apply(KEPT % ("brief", "1.0.0", "{after: {minutes: 5}}"))
        await run_all(client, "brief", 3, "old")
        await elapse(400)
        await run_all(client, "brief", 1, "new")
        await elapse(60)
        return await ids(client)

    assert in_cluster(situation) == ["new0"]


def test_the_newest_version_speaks_for_all() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[list[str], list[str]]:
        await client.apply(KEPT % ("few", "1.0.0", "{}"))
        await run_all(client, "few", 3, "f")
        await elapse(90)
        before = await ids(client)
        await client.apply(KEPT % ("few", "2.0.0", "{keep: 0}"))
        await elapse(90)
        return before, await ids(client)

    assert in_cluster(situation) == (["f0", "f1", "f2"], [])


def test_a_later_owner_agrees_and_the_id_is_free_again() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[list[str], int, str]:
        await client.apply(KEPT % ("few", "1.0.0", "{keep: 1}"))
        await run_all(client, "few", 3, "f")
        await elapse(90)
        machine = cluster.machines["m0"]
        machine.crash()
        machine.start()
        left = await ids(client)
        with pytest.raises(NotFoundError):
            await client.get("f0")
        again = await client.start("few", id="f0")
        await again.wait(20)
        return left, (await client.get("f0")).seq, (await client.get("f0")).status

    assert in_cluster(situation) == (["f2"], 5, "completed")


def test_deleting_what_expires_at_the_moment_writes_one_event() -> None:
    async def situation(cluster: Cluster, client: Client) -> int:
        await client.apply(PLAIN)
        await run_all(client, "plain", 1, "p")
        await asyncio.gather(client.delete("p0"), client.delete("p0"))
        async with stream_of(cluster) as stream:
            records = [r async for r in stream.journal.read(0, after=0, upto=1 << 60)]
        events = [event for record in records for event in decode_batch_lazily(record.data)]
        return sum(event.type.endswith("execution.deleted") for event in events)

    assert in_cluster(situation) == 1


def test_the_index_finds_what_ended_by_workflow() -> None:
    book = PlaceBook()
    places = book.partition()
    rows = [("a", "x/one:1", 10), ("b", "x/one:2", 20), ("c", "x/two:1", 5), ("d", "x/one:1", 0)]
    places.put(Place(name, 1, 6, 1, workflow=workflow, ended_at=at) for name, workflow, at in rows)
    assert places.ended_names() == ["x/one", "x/two"]
    assert [place.id for place in places.ended_before("x/one", 20, 9)] == ["a"]
    assert [places.ended_at_rank("x/one", rank) for rank in range(3)] == [20, 10, None]
    book.close()
