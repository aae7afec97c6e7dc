from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.reading import close, next_within

if TYPE_CHECKING:
    from flunq.log.ports import Database


@pytest.fixture
def node() -> str:
    return f"node.{uuid4().hex[:8]}"


async def until(database: Database, node: str, *, present: bool, within: float = 20.0) -> None:
    """Watch changes until a lease is there, or gone."""
    changes = database.leases.changes()
    try:
        async with asyncio.timeout(within):
            async for _ in changes:
                if (node in await database.leases.live()) is present:
                    return
    finally:
        await close(changes)


async def test_a_renewed_lease_is_live(
    database: Database, other_database: Database, node: str
) -> None:
    await database.leases.renew(node, b"here")
    assert (await other_database.leases.live())[node] == b"here"


async def test_the_newest_value_counts(database: Database, node: str) -> None:
    await database.leases.renew(node, b"1")
    await database.leases.renew(node, b"2")
    assert (await database.leases.live())[node] == b"2"


async def test_a_released_lease_is_gone_at_once(
    database: Database, other_database: Database, node: str
) -> None:
    await database.leases.renew(node, b"here")
    await database.leases.release(node)
    assert node not in await other_database.leases.live()


async def test_a_lease_that_nobody_renews_vanishes(
    database: Database, other_database: Database, node: str
) -> None:
    await database.leases.renew(node, b"here")
    await until(other_database, node, present=True)
    await until(other_database, node, present=False)


async def test_a_lease_that_is_renewed_stays(database: Database, node: str) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + 2.6
    while loop.time() < end:
        await database.leases.renew(node, b"here")
        await asyncio.sleep(0.3)
        assert node in await database.leases.live()


async def test_watchers_are_told_at_the_start(database: Database, node: str) -> None:
    changes = database.leases.changes()
    await next_within(changes)
    await close(changes)
    assert node not in await database.leases.live()


async def test_watchers_learn_of_a_new_lease(
    database: Database, other_database: Database, node: str
) -> None:
    watching = asyncio.create_task(until(other_database, node, present=True))
    await asyncio.sleep(0)
    await database.leases.renew(node, b"here")
    await watching


async def test_watchers_learn_of_a_release_before_it_expires(
    database: Database, other_database: Database, node: str
) -> None:
    await database.leases.renew(node, b"here")
    changes = other_database.leases.changes()
    await next_within(changes)
    waiting = asyncio.create_task(until(other_database, node, present=False, within=1.6))
    await database.leases.release(node)
    await waiting
    await close(changes)


async def test_leases_of_several_nodes_are_listed(
    database: Database, other_database: Database, node: str
) -> None:
    await database.leases.renew(node + "a", b"a")
    await other_database.leases.renew(node + "b", b"b")
    live = await database.leases.live()
    assert (live[node + "a"], live[node + "b"]) == (b"a", b"b")
