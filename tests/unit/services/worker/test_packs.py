"""Packs and checkpoint records on the memory backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.core.execution.commands import WorkflowRef
from flunq.log.memory import MemoryBroker, MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.worker.checkpoint import MERGED, small_packs
from flunq.services.worker.executions import (
    Executions,
    Finished,
    Mark,
    Packed,
    decode_finished,
    encode_finished,
)
from flunq.services.worker.packs import AHEAD, PACK_BYTES, Checkpoint, Packs, StaleCheckpointError
from flunq.services.worker.places import Place, PlaceBook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import Database


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with MemoryDatabase(StreamSettings(url="memory://packs"), MemoryBroker()) as database:
        await database.ensure()
        yield database


def packs_of(database: Database) -> Packs:
    return Packs(database.state, database.blobs, "default", 3)


def packed(execution: str, size: int = 10) -> Packed:
    return Packed(execution, 1, 2, "print", False, b"x" * size)


async def test_a_pack_is_read_back_with_its_marks(database: Database) -> None:
    packs = packs_of(database)
    mark = Mark("e1", 2, 1_000, True, 0)
    await packs.store(7, [packed("e1"), packed("e2")], [mark])
    other = packs_of(database)
    assert (await other.load(7))["e2"] == packed("e2")
    assert await other.marks(7) == [mark]


async def test_indexes_that_are_read_ahead_come_in_their_order(database: Database) -> None:
    packs, numbers = packs_of(database), list(range(2 * AHEAD + 1, 0, -1))
    for number in numbers:
        await packs.store(number, [], [Mark(f"e{number}", 2, 1_000, True, 0)])
    read = [(number, marks[0].id) async for number, marks in packs_of(database).marks_of(numbers)]
    assert read == [(number, f"e{number}") for number in numbers]


async def test_a_pack_that_outgrows_a_message_goes_to_the_blobs(database: Database) -> None:
    await packs_of(database).store(8, [packed("huge", 3 * PACK_BYTES)], [])
    assert len((await packs_of(database).load(8))["huge"].body) == 3 * PACK_BYTES


async def test_a_discarded_pack_is_gone(database: Database) -> None:
    packs = packs_of(database)
    await packs.store(9, [packed("e1")], [Mark("e1", 1, 1, False, 0)])
    await packs.discard(9)
    for look in (packs.marks, packs.load):
        with pytest.raises(StaleCheckpointError):
            await look(9)


async def test_a_checkpoint_never_replaces_a_newer_one(database: Database) -> None:
    mine, theirs = packs_of(database), packs_of(database)
    await mine.load_checkpoint()
    await theirs.load_checkpoint()
    await theirs.store_checkpoint(Checkpoint(epoch=2, seq=5))
    with pytest.raises(StaleCheckpointError):
        await mine.store_checkpoint(Checkpoint(epoch=1, seq=9))
    assert (await mine.load_checkpoint()).epoch == 2


async def test_an_owner_whose_checkpoint_was_claimed_writes_no_more(database: Database) -> None:
    earlier, later = packs_of(database), packs_of(database)
    await earlier.load_checkpoint()
    await earlier.store_checkpoint(Checkpoint(epoch=1, seq=5))
    assert (await later.claim_checkpoint(2, 7)).seq == 5
    with pytest.raises(StaleCheckpointError):
        await earlier.store_checkpoint(Checkpoint(epoch=1, seq=6))
    assert (await packs_of(database).load_checkpoint()).seq == 5


async def test_a_checkpoint_follows_its_own_predecessor(database: Database) -> None:
    packs = packs_of(database)
    await packs.load_checkpoint()
    for sequence in (1, 2, 3):
        await packs.store_checkpoint(Checkpoint(epoch=1, seq=sequence))
    assert (await packs_of(database).load_checkpoint()).seq == 3


@pytest.mark.parametrize("value", [7, 2**63, 2**70, -(2**64)])
def test_a_record_with_large_integers_can_be_stored(value: int) -> None:
    ref = WorkflowRef(namespace="test", name="sum", version="1.0.0", digest="")
    finished = Finished(
        id="e1",
        workflow=ref,
        status="completed",
        fingerprint="print",
        started_at=1,
        ended_at=2,
        seq=3,
        output={"n": value},
    )
    assert decode_finished(encode_finished(finished)) == finished


def test_a_deleted_execution_is_remembered_until_its_pack_is_gone() -> None:
    executions = Executions(PlaceBook().partition())
    executions.places.put([Place("e1", pack=5, status=6, started_at=1)])
    executions.forget("e1")
    assert not executions.knows("e1")
    assert executions.deleted == {"e1": 5}
    executions.places.close()


def test_small_packs_of_one_size_are_put_together() -> None:
    alike = [(number, 1000 + number) for number in range(MERGED + 3)]
    assert small_packs(alike) == list(range(MERGED))


def test_packs_are_left_alone_that_are_large_or_of_their_own_size() -> None:
    large = [(number, PACK_BYTES) for number in range(2 * MERGED)]
    growing = [(100 + number, 4**number) for number in range(MERGED)]
    assert small_packs(large + growing) == []


def test_merging_keeps_the_number_of_packs_small_for_ever() -> None:
    packs: dict[int, int] = {}
    for number in range(5_000):
        packs[number] = 700
        merged = small_packs(list(packs.items()))
        if merged:
            packs[number] = 700 + sum(packs.pop(one) for one in merged)
    assert len(packs) < 60


async def test_a_checkpoint_of_any_size_fits_the_store() -> None:
    settings = StreamSettings(url="memory://large-checkpoint", name="test")
    async with MemoryDatabase(settings, MemoryBroker()) as store:
        await store.ensure()
        packs = Packs(store.state, store.blobs, "default", 0)
        await packs.load_checkpoint()
        deleted = {f"{number:036}": number for number in range(50_000)}
        for seq in (5, 6, 7):
            await packs.store_checkpoint(Checkpoint(epoch=1, seq=seq, deleted=deleted))
        entry = await store.state.get("default.0.checkpoint")
        assert entry is not None
        assert len(entry.value) < 1000
        other = Packs(store.state, store.blobs, "default", 0)
        found = await other.claim_checkpoint(2, 7)
        assert (found.epoch, found.seq, found.deleted) == (2, 7, deleted)
        assert (await packs.load_checkpoint()).epoch == 2
