from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from flunq.log.ports import RevisionConflictError

if TYPE_CHECKING:
    from flunq.log.ports import Database, KeyValue

BUCKETS = ["definitions", "state", "tenants", "nodes"]


@pytest.fixture
def prefix() -> str:
    return f"t{uuid4().hex[:8]}/"


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest, database: Database) -> KeyValue:
    found: KeyValue = getattr(database, request.param)
    return found


async def test_a_value_is_read_back(bucket: KeyValue, prefix: str) -> None:
    revision = await bucket.put(prefix + "k", b"v1")
    entry = await bucket.get(prefix + "k")
    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == (prefix + "k", b"v1", revision)


async def test_another_process_reads_the_newest(
    database: Database, other_database: Database, prefix: str
) -> None:
    for value in (b"1", b"2", b"3"):
        await database.state.put(prefix + "k", value)
        entry = await other_database.state.get(prefix + "k")
        assert entry is not None
        assert entry.value == value


async def test_an_unknown_key_is_none(database: Database, prefix: str) -> None:
    assert await database.state.get(prefix + "nothing") is None


async def test_a_swap_with_the_known_revision_wins(database: Database, prefix: str) -> None:
    first = await database.state.swap(prefix + "k", b"1", revision=0)
    second = await database.state.swap(prefix + "k", b"2", revision=first)
    entry = await database.state.get(prefix + "k")
    assert entry is not None
    assert (entry.value, entry.revision) == (b"2", second)
    assert second > first


async def test_a_swap_with_an_old_revision_conflicts(database: Database, prefix: str) -> None:
    first = await database.state.put(prefix + "k", b"1")
    await database.state.put(prefix + "k", b"2")
    for stale in (0, first):
        with pytest.raises(RevisionConflictError):
            await database.state.swap(prefix + "k", b"3", revision=stale)
    entry = await database.state.get(prefix + "k")
    assert entry is not None
    assert entry.value == b"2"


async def test_of_racing_swaps_one_wins(
    database: Database, other_database: Database, prefix: str
) -> None:
    async def swap(bucket: KeyValue, value: bytes) -> bool:
        try:
            await bucket.swap(prefix + "k", value, revision=0)
        except RevisionConflictError:
            return False
        return True

    buckets = [database.tenants, other_database.tenants] * 8
    won = await asyncio.gather(*(swap(b, b"%d" % n) for n, b in enumerate(buckets)))
    assert won.count(True) == 1


async def test_a_deleted_key_can_be_created_again(database: Database, prefix: str) -> None:
    await database.state.put(prefix + "k", b"1")
    await database.state.delete(prefix + "k")
    assert await database.state.get(prefix + "k") is None
    assert await database.state.keys(prefix) == []
    assert await database.state.swap(prefix + "k", b"2", revision=0) > 0


async def test_deleting_an_unknown_key_is_harmless(database: Database, prefix: str) -> None:
    await database.state.put(prefix + "kept", b"1")
    await database.state.delete(prefix + "nothing")
    assert await database.state.keys(prefix) == [prefix + "kept"]


async def test_keys_are_found_by_prefix(bucket: KeyValue, prefix: str) -> None:
    names = ["p/1/a", "p/1/b", "p/12/a", "q"]
    for name in names:
        await bucket.put(prefix + name, b"x")
    assert await bucket.keys(prefix) == [prefix + name for name in names]
    assert await bucket.keys(prefix + "p/1/") == [prefix + "p/1/a", prefix + "p/1/b"]
    assert await bucket.keys(prefix + "p/1") == [prefix + n for n in names[:3]]
    assert await bucket.keys(prefix + "x") == []


@pytest.mark.parametrize("key", ["a.b", "*", ">", "x y", "ü", "a//b", "/", "=2E", "a\r\nb"])
async def test_any_text_may_be_a_key(database: Database, prefix: str, key: str) -> None:
    await database.state.put(prefix + key, key.encode())
    entry = await database.state.get(prefix + key)
    assert entry is not None
    assert entry.value == key.encode()
    assert await database.state.keys(prefix) == [prefix + key]


async def test_buckets_do_not_share_keys(database: Database, prefix: str) -> None:
    await database.state.put(prefix + "k", b"state")
    assert await database.nodes.get(prefix + "k") is None


async def test_a_pack_of_half_a_megabyte_fits(database: Database, prefix: str) -> None:
    pack = bytes(range(256)) * 2048
    await database.state.put(prefix + "pack", pack)
    entry = await database.state.get(prefix + "pack")
    assert entry is not None
    assert entry.value == pack


async def test_an_empty_value_is_a_value(database: Database, prefix: str) -> None:
    await database.state.put(prefix + "k", b"")
    entry = await database.state.get(prefix + "k")
    assert entry is not None
    assert entry.value == b""


async def test_what_was_put_after_a_revision_is_found(bucket: KeyValue, prefix: str) -> None:
    before = await bucket.put(prefix + "before", b"0")
    for key, value in (("a", b"1"), ("gone", b"2"), ("b", b"3"), ("a", b"4")):
        await bucket.put(prefix + key, value)
    await bucket.delete(prefix + "gone")
    found = [entry for entry in await bucket.since(before) if entry.key.startswith(prefix)]
    assert [(entry.key, entry.value) for entry in found] == [
        (prefix + "b", b"3"),
        (prefix + "a", b"4"),
    ]
    assert await bucket.since(found[-1].revision) == []


async def test_the_stamp_changes_with_every_change_and_only_then(
    bucket: KeyValue, prefix: str
) -> None:
    stamps = [await bucket.stamp()]
    for change in (
        bucket.put(prefix + "a", b"1"),
        bucket.put(prefix + "a", b"1"),
        bucket.put(prefix + "b", b"2"),
        bucket.delete(prefix + "a"),
        bucket.delete(prefix + "b"),
    ):
        await change
        stamps.append(await bucket.stamp())
        await bucket.get(prefix + "b")
        await bucket.delete(prefix + "unknown")
        assert await bucket.stamp() == stamps[-1]
    assert len(set(stamps)) == len(stamps)


async def test_scouring_keeps_every_value(database: Database, prefix: str) -> None:
    for number in range(5):
        await database.state.put(f"{prefix}{number}", b"old")
        await database.state.put(f"{prefix}{number}", b"%d" % number)
    await database.state.delete(f"{prefix}0")
    await database.state.scour()
    assert await database.state.keys(prefix) == [f"{prefix}{number}" for number in range(1, 5)]
    entry = await database.state.get(f"{prefix}3")
    assert entry is not None
    assert entry.value == b"3"
    assert await database.state.swap(f"{prefix}3", b"new", revision=entry.revision)
