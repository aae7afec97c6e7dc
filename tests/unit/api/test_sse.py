from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.api.limits import ApiLimits
from flunq.api.problems import BusyError
from flunq.api.services import ApiSettings
from flunq.api.sse import event_stream, frame
from flunq.errors import UnavailableError
from tests.support.api import services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator


async def numbers(count: int) -> AsyncGenerator[bytes, None]:
    for number in range(count):
        yield frame(b"%d" % number, id=str(number))


async def text_of(chunks: AsyncIterator[bytes]) -> str:
    return b"".join([chunk async for chunk in chunks]).decode()


def test_a_frame_has_its_id_and_name_before_the_data() -> None:
    assert frame(b"{}", id="7", event="end") == b"id: 7\nevent: end\ndata: {}\n\n"


async def test_all_frames_come_in_order_even_when_there_are_many() -> None:
    text = await text_of(event_stream(services(), numbers(1000)).chunks)
    found = [line for line in text.splitlines() if line.startswith("data:")]
    assert found == [f"data: {number}" for number in range(1000)]


async def test_a_quiet_stream_says_that_it_is_alive() -> None:
    async def silent() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    settings = ApiSettings(limits=ApiLimits(heartbeat_seconds=0.01))
    chunks = event_stream(services(settings=settings), silent()).chunks
    assert [await anext(chunks), await anext(chunks)] == [b"retry: 1000\n\n", b": alive\n\n"]
    await chunks.aclose()


async def test_a_stream_ends_when_the_process_is_to_end() -> None:
    async def silent() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    stopping = asyncio.Event()
    stopping.set()
    assert await text_of(event_stream(services(stopping=stopping), silent()).chunks) == (
        "retry: 1000\n\n"
    )


async def test_what_goes_wrong_in_between_is_an_event_too() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield frame(b"1")
        raise UnavailableError("nobody answers")

    text = await text_of(event_stream(services(), broken()).chunks)
    assert "event: problem" in text
    assert "urn:flunq:error:unavailable" in text


async def test_no_more_streams_are_opened_than_there_are_places() -> None:
    settings = ApiSettings(limits=ApiLimits(streams=1))
    given = services(settings=settings)
    first = event_stream(given, numbers(3)).chunks
    await anext(first)
    with pytest.raises(BusyError):
        event_stream(given, numbers(3))
    await text_of(first)
    event_stream(given, numbers(3))
