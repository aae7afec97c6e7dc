"""One schedule's record: compare-and-set, conflicts, removal, large values."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace

from flunq.core.scheduling.state import Group, Held, Pending, ScheduleState
from flunq.log.memory import MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.schedules.cell import CROWDED, INLINE, Cell, keys_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FRESH = ScheduleState(namespace="t", name="job", digest="d")
KEY = f"{keys_of('default')}t/job"


@pytest.fixture
async def database() -> AsyncIterator[MemoryDatabase]:
    settings = StreamSettings(url=f"memory://{uuid4().hex}")
    async with MemoryDatabase(settings) as database:
        await database.ensure()
        yield database


def cell(database: MemoryDatabase) -> Cell:
    return Cell(database, "default", "t", "job")


def counted(state: ScheduleState | None) -> ScheduleState:
    """Add one to a number, as a keeper adds a fire."""
    known = state or FRESH
    return replace(known, heard=known.heard + 1)


async def test_a_change_is_stored_and_read_by_another_process(database: MemoryDatabase) -> None:
    await cell(database).change(counted)
    found = await cell(database).load()
    assert found is not None
    assert found.heard == 1


async def test_two_writers_lose_nothing(database: MemoryDatabase) -> None:
    first, second = cell(database), cell(database)
    for one in (first, second, first, second, second, first):
        await one.change(counted)
    assert second.state is not None
    found = await cell(database).load()
    assert found is not None
    assert found.heard == 6


async def test_nothing_is_written_where_nothing_changes(database: MemoryDatabase) -> None:
    one = cell(database)
    await one.change(counted)
    before = await database.state.get(KEY)
    assert await one.change(lambda state: state) == one.state
    assert await database.state.get(KEY) == before


async def test_a_record_that_is_removed_is_gone_for_a_writer_that_knew_it(
    database: MemoryDatabase,
) -> None:
    first, second = cell(database), cell(database)
    await first.change(counted)
    await second.load()
    await first.change(lambda _: None)
    assert await database.state.keys(keys_of("default")) == []
    found = await second.change(lambda state: state and counted(state))
    assert found is None
    assert await database.state.keys(keys_of("default")) == []


async def test_a_removed_schedule_can_come_again(database: MemoryDatabase) -> None:
    one = cell(database)
    await one.change(counted)
    await one.change(lambda _: None)
    await one.change(counted)
    found = await cell(database).load()
    assert found is not None
    assert found.heard == 1


async def test_large_events_lie_beside_the_record_and_come_back_whole(
    database: MemoryDatabase,
) -> None:
    event = {"id": "1", "data": "x" * (2 * INLINE)}
    full = replace(
        FRESH,
        pending=(Pending(id="p", at=1, input=[event]),),
        queued=Pending(id="q", at=1, input=event),
        groups=(Group(held=(Held(slot=0, key="k", event=event),)),),
    )
    await cell(database).change(lambda _: full)
    entry = await database.state.get(KEY)
    assert entry is not None
    assert len(entry.value) < 2_000
    assert await cell(database).load() == full


async def test_many_small_events_lie_beside_a_crowded_record(database: MemoryDatabase) -> None:
    events = [{"id": str(number), "data": "x" * 1_000} for number in range(400)]
    held = tuple(Held(slot=0, key=event["id"], event=event) for event in events)
    full = replace(FRESH, groups=(Group(held=held),))
    assert len(msgspec.json.encode(full)) > CROWDED
    await cell(database).change(lambda _: full)
    entry = await database.state.get(KEY)
    assert entry is not None
    assert len(entry.value) < CROWDED
    assert await cell(database).load() == full
