from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.api.problems import InvalidFieldError
from flunq.api.tail import Cursor, Tail
from flunq.core.protocol import Commits, Page
from flunq.errors import UnavailableError
from flunq.testing.clock import VirtualLoop, run_virtually
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.client import Client
    from flunq.core.events import LazyEvent

POSITIONS = st.lists(st.integers(0, 1 << 53), min_size=1, max_size=16)


@given(POSITIONS, st.integers(0, 500))
def test_a_cursor_reads_as_it_was_written(after: list[int], taken: int) -> None:
    whole = Cursor.parse(str(Cursor(after)), len(after))
    half = Cursor.parse(str(Cursor(after, partition=0, taken=taken)), len(after))
    assert (whole.after, whole.partition) == (after, -1)
    assert (half.after, half.partition, half.taken) == (after, 0, taken)


@pytest.mark.parametrize(
    "text", ["", "1", "1-2-3", "1-x y", "1--2", "-1-2", "1-2.0", "1-2.9.1", "1-2.0.1.1", "A-2"]
)
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError):
        Cursor.parse(text, 2)


@given(st.text(max_size=40))
def test_no_text_does_more_harm_than_that(text: str) -> None:
    try:
        Cursor.parse(text, 2)
    except InvalidFieldError:
        return
    assert all(part.isascii() for part in text)


class Owners:
    """Two partitions that a client asks; the first one is between two owners for a moment."""

    tenant = "default"

    def __init__(self) -> None:
        self.hear: Callable[[bytes], None] = lambda _: None
        self.absent = True

    @asynccontextmanager
    async def listening(
        self, _subject: str, receive: Callable[[bytes], None]
    ) -> AsyncIterator[None]:
        self.hear = receive
        yield

    async def ask_owner(self, number: int, question: Commits) -> Page:
        if number == 0 and self.absent:
            self.absent = False
            raise UnavailableError("it has no owner now")
        if number or question.after:
            return Page(items=[], cursor=question.after)
        head = {"id": "c1", "source": "/x", "type": "t", "time": "2026-01-01T00:00:00Z"}
        return Page(items=[msgspec.Raw(msgspec.json.encode([head, head]))], cursor=7, seqs=[7])

    async def full_event(self, event: LazyEvent) -> LazyEvent:
        return event


def test_a_partition_that_did_not_answer_is_asked_again_however_busy_others_are() -> None:
    async def situation() -> None:
        owners = Owners()
        tail = Tail(cast("Client", owners), Cursor([0, 0]))

        async def keep_busy() -> None:
            while True:
                owners.hear(b'[{"partition":1}]')
                await elapse(0.5)

        busy = asyncio.create_task(keep_busy())
        async with asyncio.timeout(60), aclosing(tail.events()) as events:
            async for after, _ in events:
                assert after == "7-0"
                break
        busy.cancel()

    run_virtually(situation(), VirtualLoop(patience=10_000))
