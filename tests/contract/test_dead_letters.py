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
