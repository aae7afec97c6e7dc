from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq.log.ports import MessageTooLargeError

if TYPE_CHECKING:
    from flunq.log.ports import EventStream


async def test_a_letter_is_kept_and_a_repeat_is_harmless(stream: EventStream) -> None:
    for _ in range(2):
        await stream.dead_letters.publish(b"{}", message_id="one\r\n")


async def test_a_letter_over_the_limit_is_refused(stream: EventStream) -> None:
    with pytest.raises(MessageTooLargeError):
        await stream.dead_letters.publish(b"x" * (stream.max_payload + 1), message_id="big")


async def test_letters_are_read_in_pages_and_one_by_one(stream: EventStream) -> None:
    for number in range(5):
        await stream.dead_letters.publish(b"%d" % number, message_id=f"n{number}")
    page = await stream.dead_letters.page(after=1, limit=2)
    assert [(record.seq, record.data) for record in page] == [(2, b"1"), (3, b"2")]
    assert await stream.dead_letters.page(after=5, limit=2) == []
    found = await stream.dead_letters.get(4)
    assert found is not None
    assert (found.seq, found.data) == (4, b"3")


async def test_a_letter_that_was_dropped_is_gone_and_its_number_is_not_used_again(
    stream: EventStream,
) -> None:
    for number in range(3):
        await stream.dead_letters.publish(b"%d" % number, message_id=f"n{number}")
    assert await stream.dead_letters.drop(2)
    assert not await stream.dead_letters.drop(2)
    assert not await stream.dead_letters.drop(99)
    assert await stream.dead_letters.get(2) is None
    assert [record.seq for record in await stream.dead_letters.page(after=0, limit=9)] == [1, 3]
