from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from flunq.core.protocol import feed_subject
from flunq.log.ports import MessageTooLargeError, SequenceConflictError, StreamGoneError
from tests.support.reading import close, next_within, take

if TYPE_CHECKING:
    from flunq.log.ports import EventStream, Journal
    from tests.contract.conftest import Backend


async def fill(journal: Journal, partition: int, count: int) -> list[int]:
    last = await journal.last(partition)
    seqs = [last.seq if last else 0]
    for number in range(count):
        data = f"{partition}:{number}".encode()
        seqs.append(await journal.append(partition, data, expected=seqs[-1], headers={}))
    return seqs[1:]


async def test_the_first_append_expects_zero(stream: EventStream) -> None:
    seq = await stream.journal.append(3, b"one", expected=0, headers={"Flunq-Nonce": "n1"})
    record = await stream.journal.last(3)
    assert record is not None
    assert (record.seq, record.data, record.partition) == (seq, b"one", 3)
    assert record.headers == {"Flunq-Nonce": "n1"}
    assert record.time > 1_600_000_000


async def test_a_partition_without_records_has_no_last(stream: EventStream) -> None:
    await fill(stream.journal, 1, 1)
    assert await stream.journal.last(2) is None


async def test_a_stale_expectation_is_a_conflict_and_stores_nothing(stream: EventStream) -> None:
    (seq,) = await fill(stream.journal, 0, 1)
    with pytest.raises(SequenceConflictError):
        await stream.journal.append(0, b"late", expected=0, headers={})
    last = await stream.journal.last(0)
    assert last is not None
    assert last.seq == seq


async def test_an_expectation_from_the_future_is_a_conflict(stream: EventStream) -> None:
    with pytest.raises(SequenceConflictError):
        await stream.journal.append(0, b"x", expected=7, headers={})
    assert await stream.journal.last(0) is None


async def test_partitions_have_expectations_of_their_own(stream: EventStream) -> None:
    first, second = await fill(stream.journal, 0, 1), await fill(stream.journal, 1, 1)
    assert second[0] > first[0]
    assert await fill(stream.journal, 0, 1) > second


async def test_of_many_racing_writers_one_wins(stream: EventStream, other: EventStream) -> None:
    async def write(journal: Journal, name: int) -> int | None:
        try:
            return await journal.append(5, b"%d" % name, expected=0, headers={})
        except SequenceConflictError:
            return None

    journals = [stream.journal, other.journal] * 10
    results = await asyncio.gather(*(write(j, n) for n, j in enumerate(journals)))
    assert len([seq for seq in results if seq is not None]) == 1
    assert len([r async for r in stream.journal.read(5, after=0, upto=10**9)]) == 1


async def test_another_process_reads_what_was_acknowledged(
    stream: EventStream, other: EventStream
) -> None:
    for expected in await fill(stream.journal, 4, 20):
        last = await other.journal.last(4)
        assert last is not None
        assert last.seq >= expected


async def test_reading_is_complete_and_in_order(stream: EventStream) -> None:
    mine: list[int] = []
    for _ in range(30):
        mine += await fill(stream.journal, 2, 20)
        await fill(stream.journal, 6, 1)
    records = [r async for r in stream.journal.read(2, after=0, upto=mine[-1])]
    assert [r.seq for r in records] == mine
    assert {r.partition for r in records} == {2}


async def test_reading_starts_after_and_ends_with_a_sequence(stream: EventStream) -> None:
    seqs = await fill(stream.journal, 2, 10)
    records = [r async for r in stream.journal.read(2, after=seqs[2], upto=seqs[6])]
    assert [r.seq for r in records] == seqs[3:7]


async def test_reading_up_to_a_sequence_of_another_partition_ends(stream: EventStream) -> None:
    mine = await fill(stream.journal, 2, 3)
    theirs = await fill(stream.journal, 3, 3)
    records = [r async for r in stream.journal.read(2, after=0, upto=theirs[-1])]
    assert [r.seq for r in records] == mine


async def test_reading_nothing_ends_at_once(stream: EventStream) -> None:
    assert [r async for r in stream.journal.read(7, after=0, upto=100)] == []


async def test_large_records_are_read_whole(stream: EventStream) -> None:
    expected = 0
    for number in range(12):
        data = bytes([number]) * 2_000_000
        expected = await stream.journal.append(0, data, expected=expected, headers={})
    records = [r async for r in stream.journal.read(0, after=0, upto=expected)]
    assert [(r.data[0], len(r.data)) for r in records] == [(n, 2_000_000) for n in range(12)]


async def test_a_record_over_the_limit_is_refused_and_the_connection_lives(
    stream: EventStream,
) -> None:
    large = os.urandom(stream.max_payload)
    with pytest.raises(MessageTooLargeError):
        await stream.journal.append(0, large, expected=0, headers={"A": "b"})
    assert await fill(stream.journal, 0, 1)


async def test_following_sees_all_partitions_in_order(stream: EventStream) -> None:
    seqs = [seq for p in (0, 3, 0, 7) for seq in await fill(stream.journal, p, 2)]
    records = await take(stream.journal.follow(after=0), 8)
    assert [r.seq for r in records] == seqs
    assert [r.partition for r in records] == [0, 0, 3, 3, 0, 0, 7, 7]


async def test_following_goes_on_with_what_comes_later(
    stream: EventStream, other: EventStream
) -> None:
    seqs = await fill(stream.journal, 0, 2)
    records = stream.journal.follow(after=seqs[0])
    assert (await next_within(records)).seq == seqs[1]
    waiting = asyncio.create_task(next_within(records))
    (new,) = await fill(other.journal, 1, 1)
    assert (await waiting).seq == new
    await close(records)


async def test_following_only_the_new_skips_the_old(stream: EventStream) -> None:
    old = await fill(stream.journal, 0, 5)
    records = stream.journal.follow(after=None)
    waiting = asyncio.create_task(next_within(records))
    new: list[int] = []
    while not waiting.done():
        new += await fill(stream.journal, 0, 1)
        await asyncio.wait({waiting}, timeout=0.02)
    assert (await waiting).seq in new
    assert old[-1] < new[0]
    await close(records)


async def test_following_many_records_loses_none(stream: EventStream) -> None:
    batches = await asyncio.gather(*(fill(stream.journal, p, 100) for p in range(8)))
    records = await take(stream.journal.follow(after=0), 800)
    assert [r.seq for r in records] == sorted(seq for batch in batches for seq in batch)


async def test_partitions_are_counted(stream: EventStream) -> None:
    await fill(stream.journal, 0, 2)
    await fill(stream.journal, 7, 3)
    assert await stream.journal.partitions() == {0: 2, 7: 3}


async def test_an_empty_journal_starts_at_one(stream: EventStream) -> None:
    assert await stream.journal.partitions() == {}
    assert await stream.journal.first_seq() == 1


async def test_trimming_forgets_the_old(stream: EventStream) -> None:
    seqs = await fill(stream.journal, 0, 10)
    await stream.journal.trim(seqs[4])
    assert await stream.journal.first_seq() == seqs[5]
    records = [r async for r in stream.journal.read(0, after=0, upto=seqs[-1])]
    assert [r.seq for r in records] == seqs[5:]


async def test_trimming_always_leaves_each_partitions_last(stream: EventStream) -> None:
    (early,) = await fill(stream.journal, 1, 1)
    late = await fill(stream.journal, 0, 5)
    await stream.journal.trim(late[-1] + 100)
    assert await stream.journal.partitions() == {0: 5, 1: 1}
    with pytest.raises(SequenceConflictError):
        await stream.journal.append(1, b"forged", expected=0, headers={})
    assert await stream.journal.append(1, b"next", expected=early, headers={}) > late[-1]


async def test_trimming_everything_keeps_the_last_and_the_sequence(stream: EventStream) -> None:
    seqs = await fill(stream.journal, 0, 5)
    await stream.journal.trim(seqs[-1])
    assert await stream.journal.first_seq() == seqs[-1]
    assert await fill(stream.journal, 0, 1) == [seqs[-1] + 1]


async def test_trimming_up_to_nothing_is_harmless(stream: EventStream) -> None:
    seqs = await fill(stream.journal, 0, 2)
    await stream.journal.trim(0)
    assert [r.seq async for r in stream.journal.read(0, after=0, upto=99)] == seqs


async def test_following_from_a_position_never_reached_is_an_error(stream: EventStream) -> None:
    seqs = await fill(stream.journal, 0, 2)
    with pytest.raises(StreamGoneError):
        await next_within(stream.journal.follow(after=seqs[-1] + 1))


async def test_an_append_is_told_on_the_feed(
    backend: Backend, stream: EventStream, other: EventStream
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with other.requests.listen(feed_subject(backend.tenant, 4), heard.put_nowait):
        await fill(stream.journal, 5, 1)
        await fill(stream.journal, 4, 1)
        async with asyncio.timeout(5):
            assert await heard.get() == b"4:0"


async def test_the_extent_tells_what_is_stored(stream: EventStream) -> None:
    seqs = await fill(stream.journal, 0, 3)
    extent = await stream.journal.extent()
    assert (extent.first, extent.last) == (1, seqs[-1])
    assert extent.bytes > 0
    await stream.journal.trim(1)
    trimmed = await stream.journal.extent()
    assert (trimmed.first, trimmed.last, trimmed.created) == (2, seqs[-1], extent.created)
