from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flunq.log.ports import MessageTooLargeError, NoResponderError, RequestTimeoutError

if TYPE_CHECKING:
    from flunq.log.ports import EventStream

SUBJECT = "flunq.start.requests.0"


async def echo(data: bytes) -> bytes | None:
    return data.upper()


async def test_a_request_is_answered(stream: EventStream, other: EventStream) -> None:
    async with stream.requests.serve(SUBJECT, echo):
        assert await other.requests.request(SUBJECT, b"hi", timeout=5) == b"HI"


async def test_without_a_service_nobody_responds(stream: EventStream) -> None:
    with pytest.raises(NoResponderError):
        await stream.requests.request(SUBJECT, b"hi", timeout=5)


async def test_after_the_context_nobody_responds(stream: EventStream) -> None:
    async with stream.requests.serve(SUBJECT, echo):
        await stream.requests.request(SUBJECT, b"hi", timeout=5)
    with pytest.raises(NoResponderError):
        await stream.requests.request(SUBJECT, b"hi", timeout=5)


async def test_a_request_without_an_answer_times_out(stream: EventStream) -> None:
    async def silent(data: bytes) -> bytes | None:
        return None

    async with stream.requests.serve(SUBJECT, silent):
        with pytest.raises(RequestTimeoutError):
            await stream.requests.request(SUBJECT, b"hi", timeout=0.1)


async def test_one_silent_service_leaves_the_answer_to_another(
    stream: EventStream, other: EventStream
) -> None:
    async def silent(data: bytes) -> bytes | None:
        return None

    async with stream.requests.serve(SUBJECT, silent), other.requests.serve(SUBJECT, echo):
        assert await stream.requests.request(SUBJECT, b"hi", timeout=5) == b"HI"


async def test_requests_are_served_concurrently(stream: EventStream, other: EventStream) -> None:
    meeting = asyncio.Barrier(10)

    async def meet(data: bytes) -> bytes | None:
        await meeting.wait()
        return data

    async with stream.requests.serve(SUBJECT, meet):
        names = [b"%d" % number for number in range(10)]
        asked = (other.requests.request(SUBJECT, name, timeout=5) for name in names)
        assert await asyncio.gather(*asked) == names


async def test_a_failing_handler_does_not_end_the_service(stream: EventStream) -> None:
    async def fussy(data: bytes) -> bytes | None:
        if data == b"bad":
            raise ValueError("bad")
        return data

    async with stream.requests.serve(SUBJECT, fussy):
        with pytest.raises(RequestTimeoutError):
            await stream.requests.request(SUBJECT, b"bad", timeout=0.1)
        assert await stream.requests.request(SUBJECT, b"good", timeout=5) == b"good"


async def test_closing_a_service_gives_up_its_unfinished_requests(stream: EventStream) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def endless(data: bytes) -> bytes | None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    async with stream.requests.serve(SUBJECT, endless):
        asking = asyncio.create_task(stream.requests.request(SUBJECT, b"x", timeout=0.5))
        await started.wait()
    assert ended.is_set()
    with pytest.raises(RequestTimeoutError):
        await asking


async def test_a_large_request_and_answer_pass(stream: EventStream) -> None:
    async with stream.requests.serve(SUBJECT, echo):
        answer = await stream.requests.request(SUBJECT, b"x" * 1_000_000, timeout=5)
    assert answer == b"X" * 1_000_000


async def test_a_request_over_the_limit_is_refused(stream: EventStream) -> None:
    with pytest.raises(MessageTooLargeError):
        await stream.requests.request(SUBJECT, b"x" * (stream.max_payload + 1), timeout=5)


async def test_a_notice_reaches_all_listeners(stream: EventStream, other: EventStream) -> None:
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    subject = "flunq.notice.requests"
    async with (
        stream.requests.listen(subject, lambda data: heard.put_nowait(("a", data))),
        other.requests.listen(subject, lambda data: heard.put_nowait(("b", data))),
    ):
        await stream.requests.notify(subject, b"x")
        async with asyncio.timeout(5):
            assert sorted([await heard.get(), await heard.get()]) == [("a", b"x"), ("b", b"x")]


async def test_a_notice_without_listeners_is_lost_quietly(stream: EventStream) -> None:
    await stream.requests.notify("flunq.notice.nobody", b"x")
    async with stream.requests.serve(SUBJECT, echo):
        assert await stream.requests.request(SUBJECT, b"a", timeout=5) == b"A"


async def test_a_listener_may_use_a_wildcard(stream: EventStream) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with stream.requests.listen("flunq.notice.*.x", heard.put_nowait):
        await stream.requests.notify("flunq.notice.1.y", b"no")
        await stream.requests.notify("flunq.notice.1.x", b"yes")
        async with asyncio.timeout(5):
            assert await heard.get() == b"yes"


async def test_a_failing_listener_hears_the_next_notice(stream: EventStream) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def hear(data: bytes) -> None:
        heard.put_nowait(data)
        if data == b"bad":
            raise ValueError("bad")

    async with stream.requests.listen("flunq.notice.requests", hear):
        for data in (b"bad", b"good"):
            await stream.requests.notify("flunq.notice.requests", data)
        async with asyncio.timeout(5):
            assert [await heard.get(), await heard.get()] == [b"bad", b"good"]


async def test_a_mailbox_is_heard_by_its_owner(stream: EventStream, other: EventStream) -> None:
    mailbox = stream.requests.mailbox()
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with stream.requests.listen(mailbox, heard.put_nowait):
        await other.requests.notify(mailbox, b"for you")
        async with asyncio.timeout(5):
            assert await heard.get() == b"for you"
    assert mailbox != stream.requests.mailbox()
