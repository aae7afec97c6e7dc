from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.log.ports import MessageTooLargeError

if TYPE_CHECKING:
    from flunq.log.ports import EventStream


async def test_batches_come_in_the_order_of_their_arrival(stream: EventStream) -> None:
    for number in range(5):
        await stream.audit.publish(b"%d" % number, message_id=f"m{number}")
    first = await stream.audit.page(limit=2)
    rest = await stream.audit.page(after=first[-1].seq)
    assert [record.data for record in (*first, *rest)] == [b"0", b"1", b"2", b"3", b"4"]
    assert await stream.audit.page(after=rest[-1].seq) == []


async def test_a_batch_that_is_sent_again_is_stored_once(stream: EventStream) -> None:
    sequences = [await stream.audit.publish(b"x", message_id="same") for _ in range(2)]
    assert len(await stream.audit.page()) == 1
    assert sequences[0] == sequences[1]


async def test_a_page_can_begin_at_a_moment(stream: EventStream) -> None:
    for number in range(3):
        await stream.audit.publish(b"%d" % number, message_id=f"m{number}")
    stored = await stream.audit.page()
    later = await stream.audit.page(since=stored[1].time)
    assert [record.data for record in later][-2:] == [b"1", b"2"]
    assert await stream.audit.page(since=stored[2].time + 3600) == []


async def test_a_trail_can_be_made_alone_and_goes_on_when_all_else_is(
    stream: EventStream, other: EventStream
) -> None:
    await other.audit.keep(3600)
    await other.audit.publish(b"x", message_id="1")
    await stream.ensure(8)
    await other.audit.keep(0)
    assert [record.data for record in await stream.audit.page()] == [b"x"]


async def test_a_batch_over_the_limit_is_refused(stream: EventStream) -> None:
    with pytest.raises(MessageTooLargeError):
        await stream.audit.publish(b"x" * (stream.max_payload + 1), message_id="big")
