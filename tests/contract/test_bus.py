from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from zstandard import ZstdCompressor

from tests.support.reading import close, next_within, take

if TYPE_CHECKING:
    from flunq.log.ports import EventStream


async def test_events_of_all_origins_are_followed_in_order(
    stream: EventStream, other: EventStream
) -> None:
    seqs = [
        await stream.bus.publish(origin, b"{}", type="order.placed", message_id=origin)
        for origin in ("ext", "eng", "reg")
    ]
    records = await take(other.bus.follow(after=0), 3)
    assert [record.seq for record in records] == seqs


async def test_an_event_reaches_a_waiting_follower(stream: EventStream) -> None:
    first = await stream.bus.publish("ext", b"1", type="a", message_id="1")
    events = stream.bus.follow(after=first)
    waiting = asyncio.create_task(next_within(events))
    await stream.bus.publish("ext", b"2", type="b", message_id="2")
    assert (await waiting).data == b"2"
    await close(events)


async def test_a_repeated_event_is_stored_once(stream: EventStream) -> None:
    first = await stream.bus.publish("ext", b"1", type="a", message_id="same")
    assert await stream.bus.publish("ext", b"1", type="a", message_id="same") == first
    last = await stream.bus.publish("ext", b"2", type="a", message_id="else")
    assert [r.seq for r in await take(stream.bus.follow(after=0), 2)] == [first, last]


@pytest.mark.parametrize("name", ["com.example.*", "a > b", "ü" * 300, "x\r\nPUB y 0", "."])
async def test_any_text_may_be_a_type(stream: EventStream, name: str) -> None:
    seq = await stream.bus.publish("ext", b"{}", type=name, message_id="1")
    (record,) = await take(stream.bus.follow(after=0), 1)
    assert record.seq == seq


async def test_events_carry_the_time_of_their_storage(stream: EventStream) -> None:
    for name in ("1", "2"):
        await stream.bus.publish("ext", b"{}", type="a", message_id=name)
    first, second = await take(stream.bus.follow(after=0), 2)
    assert 1_600_000_000 < first.time <= second.time


@pytest.mark.parametrize("data", [b"\x28\xb5\x2f\xfd nothing", ZstdCompressor().compress(b"{}")])
async def test_what_others_publish_is_handed_on_as_it_is(stream: EventStream, data: bytes) -> None:
    await stream.bus.publish("ext", data, type="odd", message_id="1")
    [record] = await take(stream.bus.follow(after=0), 1)
    assert record.data == data
