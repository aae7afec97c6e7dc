from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.log.ports import MessageTooLargeError, StreamGoneError
from tests.support.reading import close, next_within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import EventStream, Inbox, Record


async def send(inbox: Inbox, partition: int, *names: str) -> list[int]:
    return [await inbox.publish(partition, name.encode(), message_id=name) for name in names]


async def collect(batches: AsyncIterator[list[Record]], count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        found += [record.data for record in await next_within(batches)]
    await close(batches)
    return found


async def test_inputs_come_in_order(stream: EventStream) -> None:
    names = [f"i{number}" for number in range(50)]
    await send(stream.inbox, 2, *names)
    assert await collect(stream.inbox.read(2, after=0), 50) == [n.encode() for n in names]


async def test_a_reader_sees_its_partition_only(stream: EventStream) -> None:
    await send(stream.inbox, 1, "other")
    (seq,) = await send(stream.inbox, 2, "mine")
    batch = await next_within(batches := stream.inbox.read(2, after=0))
    assert [(r.seq, r.data, r.partition) for r in batch] == [(seq, b"mine", 2)]
    await close(batches)


async def test_an_input_from_a_client_is_marked(stream: EventStream) -> None:
    await stream.inbox.publish(0, b"theirs", message_id="1", external=True)
    await stream.inbox.publish(0, b"ours", message_id="2")
    seen: dict[bytes, bool] = {}
    async for batch in stream.inbox.read(0, after=0):
        seen |= {record.data: record.external for record in batch}
        if len(seen) == 2:
            break
    assert seen == {b"theirs": True, b"ours": False}


async def test_reading_starts_after_a_position(stream: EventStream) -> None:
    seqs = await send(stream.inbox, 0, "a", "b", "c")
    assert await collect(stream.inbox.read(0, after=seqs[1]), 1) == [b"c"]


async def test_an_input_wakes_a_waiting_reader(stream: EventStream, other: EventStream) -> None:
    batches = stream.inbox.read(0, after=0)
    waiting = asyncio.create_task(next_within(batches))
    await send(other.inbox, 0, "x")
    assert [record.data for record in await waiting] == [b"x"]
    await close(batches)


async def test_a_repeat_with_the_same_id_is_stored_once(stream: EventStream) -> None:
    first = await send(stream.inbox, 0, "same")
    assert await send(stream.inbox, 0, "same") == first
    await send(stream.inbox, 0, "end")
    assert await collect(stream.inbox.read(0, after=0), 2) == [b"same", b"end"]


async def test_two_readers_see_the_same(stream: EventStream, other: EventStream) -> None:
    await send(stream.inbox, 0, "a", "b")
    mine = collect(stream.inbox.read(0, after=0), 2)
    theirs = collect(other.inbox.read(0, after=0), 2)
    both = await asyncio.gather(mine, theirs)
    assert list(both) == [[b"a", b"b"], [b"a", b"b"]]


async def test_what_was_purged_is_not_read(stream: EventStream) -> None:
    seqs = await send(stream.inbox, 0, "a", "b", "c")
    kept = await send(stream.inbox, 1, "kept")
    await stream.inbox.purge(0, seqs[1])
    assert await collect(stream.inbox.read(0, after=0), 1) == [b"c"]
    assert await collect(stream.inbox.read(1, after=0), 1) == [b"kept"]
    assert kept[0] > seqs[1]


async def test_a_position_beyond_the_purged_end_reads_what_comes(stream: EventStream) -> None:
    seqs = await send(stream.inbox, 0, "a", "b")
    await stream.inbox.purge(0, seqs[-1])
    batches = stream.inbox.read(0, after=seqs[-1])
    waiting = asyncio.create_task(next_within(batches))
    await send(stream.inbox, 0, "c")
    assert [record.data for record in await waiting] == [b"c"]
    await close(batches)


async def test_the_creation_time_stays(stream: EventStream, other: EventStream) -> None:
    created = await stream.inbox.created()
    await stream.ensure(8)
    assert created
    assert await other.inbox.created() == created


async def test_an_input_over_the_limit_is_refused(stream: EventStream) -> None:
    with pytest.raises(MessageTooLargeError):
        await stream.inbox.publish(0, b"x" * (stream.max_payload + 1), message_id="big")


async def test_a_position_that_was_never_reached_is_an_error(stream: EventStream) -> None:
    seqs = await send(stream.inbox, 0, "a")
    with pytest.raises(StreamGoneError):
        await next_within(stream.inbox.read(0, after=seqs[-1] + 1))


async def test_inputs_of_clients_are_told_from_those_of_nodes(stream: EventStream) -> None:
    await stream.inbox.publish(3, b"client", message_id="1", external=True)
    await stream.inbox.publish(3, b"node", message_id="2")
    found: list[tuple[bytes, bool, int]] = []
    async with asyncio.timeout(10):
        async for batch in (batches := stream.inbox.read(3, after=0)):
            found += [(record.data, record.external, record.partition) for record in batch]
            if len(found) == 2:
                break
    await close(batches)
    assert found == [(b"client", True, 3), (b"node", False, 3)]


async def test_the_newest_input_of_a_partition_is_known(stream: EventStream) -> None:
    assert await stream.inbox.newest(3) == 0
    *_, newest = await send(stream.inbox, 3, "a", "b")
    await send(stream.inbox, 4, "c")
    assert await stream.inbox.newest(3) == newest
