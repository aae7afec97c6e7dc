"""Writer processes of many tenants."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core.events import COMMIT, join_batch
from flunq.log.ports import Record
from flunq.services.historian.slots import Slots, shared_slots
from flunq.services.historian.writer import Writer
from flunq.store.lake import LakeFile
from flunq.store.writing import Flush

if TYPE_CHECKING:
    from pathlib import Path


class Worker:
    """Holds a slot for as long as it is told to."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.is_idle = False

    async def make_way(self) -> None:
        self.is_idle = False
        self._slots.give(self)


async def test_whoever_used_its_slot_longest_ago_makes_way() -> None:
    slots = Slots(2)
    first, second, third = Worker(slots), Worker(slots), Worker(slots)
    await slots.take(first)
    await slots.take(second)
    first.is_idle = second.is_idle = True
    slots.used(first)
    await slots.take(third)
    assert (first.is_idle, second.is_idle, len(slots)) == (True, False, 2)


async def test_a_slot_is_waited_for_while_all_work() -> None:
    slots = Slots(1)
    busy, waiting = Worker(slots), Worker(slots)
    await slots.take(busy)
    taking = asyncio.create_task(slots.take(waiting))
    await asyncio.sleep(0)
    assert not taking.done()
    busy.is_idle = True
    slots.used(busy)
    async with asyncio.timeout(5):
        await taking
    assert len(slots) == 1


async def test_slots_belong_to_a_loop() -> None:
    assert shared_slots() is shared_slots()


def record(tenant: str) -> Record:
    commit = {
        "specversion": "1.0",
        "id": f"{tenant}-0:1",
        "source": f"/flunq/{tenant}/partitions/0",
        "type": COMMIT,
        "time": "2026-11-21T12:00:00.000000Z",
        "tenant": tenant,
        "partition": 0,
        "data": {"number": 1, "epoch": 1, "node": "n"},
    }
    return Record(seq=1, partition=0, data=join_batch([msgspec.json.encode(commit)]))


async def test_many_tenants_share_few_processes(tmp_path: Path) -> None:
    slots = Slots(2)
    writers = [Writer(tmp_path / f"t{n}", f"t{n}", slots) for n in range(5)]

    async def flush(number: int, writer: Writer) -> list[LakeFile]:
        await writer.send([record(f"t{number}")])
        assert sum(each.pid is not None for each in writers) <= 2
        return await writer.order(Flush(records=1), list[LakeFile])

    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(flush(n, each) for n, each in enumerate(writers)))
        assert sum(each.pid is not None for each in writers) == len(slots) == 2
    finally:
        for writer in writers:
            await writer.stop()
    assert len(slots) == 0


async def test_a_process_that_cannot_be_started_takes_no_slot(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    slots = Slots(1)
    with pytest.raises(OSError, match="file"):
        await Writer(tmp_path / "file" / "below", "t", slots).send([])
    assert len(slots) == 0


async def test_a_writer_that_was_sent_something_meanwhile_does_not_make_way(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "t", "t", Slots(1))
    try:
        async with asyncio.timeout(60):
            assert await writer.order(Flush(records=0), list[LakeFile]) == []
            async with writer._turn:
                sending = asyncio.create_task(writer.send([record("t")]))
                await asyncio.sleep(0)
            await writer.make_way()
            await sending
            await writer.order(Flush(records=1), list[LakeFile])
    finally:
        await writer.stop()
