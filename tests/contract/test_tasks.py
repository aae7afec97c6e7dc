from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.support.reading import close, next_within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.ports import Delivery, EventStream

ABSENCE = 0.5


async def queue(stream: EventStream, *names: str, kind: str = "http", execution: str = "e") -> None:
    for name in names:
        await stream.tasks.publish(kind, execution, name.encode(), message_id=name)


def pull(stream: EventStream, *kinds: str, limit: int = 10) -> AsyncIterator[Delivery]:
    return stream.tasks.pull(kinds or ("http",), limit=lambda: limit)


async def nothing_comes(deliveries: AsyncIterator[Delivery], within: float = ABSENCE) -> bool:
    with contextlib.suppress(TimeoutError):
        delivery = await next_within(deliveries, within)
        return not delivery.data
    return True


async def test_a_queued_task_is_delivered(stream: EventStream, other: EventStream) -> None:
    await queue(stream, "t1")
    delivery = await next_within(tasks := pull(other))
    assert (delivery.data, delivery.deliveries) == (b"t1", 1)
    await close(tasks)


async def test_a_waiting_puller_gets_a_new_task(stream: EventStream, other: EventStream) -> None:
    waiting = asyncio.create_task(next_within(tasks := pull(other)))
    await queue(stream, "t1")
    assert (await waiting).data == b"t1"
    await close(tasks)


async def test_tasks_of_a_kind_come_in_order(stream: EventStream) -> None:
    await queue(stream, "a", "b", "c")
    tasks = pull(stream)
    assert [(await next_within(tasks)).data for _ in "abc"] == [b"a", b"b", b"c"]
    await close(tasks)


async def test_only_the_wanted_kinds_come(stream: EventStream) -> None:
    await queue(stream, "other", kind="grpc")
    await queue(stream, "mine", kind="http")
    delivery = await next_within(tasks := pull(stream, "http"))
    assert delivery.data == b"mine"
    await close(tasks)


async def test_several_kinds_share_little_room(stream: EventStream) -> None:
    for kind in ("http", "python", "mcp"):
        await queue(stream, kind, kind=kind)
    tasks = pull(stream, "http", "python", "mcp", limit=1)
    found = set()
    for _ in range(3):
        delivery = await next_within(tasks)
        found.add(delivery.data)
        await delivery.ack()
    assert found == {b"http", b"python", b"mcp"}
    await close(tasks)


async def test_nothing_is_delivered_without_room(stream: EventStream) -> None:
    await queue(stream, "a")
    room = 0
    tasks = stream.tasks.pull(["http"], limit=lambda: room)
    waiting = asyncio.create_task(next_within(tasks))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    room = 1
    assert (await waiting).data == b"a"
    await close(tasks)


async def test_two_pullers_never_share_a_task(stream: EventStream, other: EventStream) -> None:
    names = [f"t{number}" for number in range(20)]
    await queue(stream, *names)
    seen: list[bytes] = []

    async def work(tasks: AsyncIterator[Delivery]) -> None:
        async for delivery in tasks:
            seen.append(delivery.data)
            await delivery.ack()

    workers = [asyncio.create_task(work(pull(each, limit=3))) for each in (stream, other)]
    async with asyncio.timeout(10):
        while len(seen) < 20:
            await asyncio.sleep(0)
            await asyncio.wait(workers, timeout=0.02)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert sorted(seen) == sorted(name.encode() for name in names)


async def test_an_acknowledged_task_does_not_come_again(stream: EventStream) -> None:
    await queue(stream, "t1")
    await (await next_within(tasks := pull(stream))).ack()
    assert await nothing_comes(tasks, 1.5)
    await close(tasks)


async def test_a_dropped_task_does_not_come_again(stream: EventStream) -> None:
    await queue(stream, "t1")
    await (await next_within(tasks := pull(stream))).drop()
    assert await nothing_comes(tasks, 1.5)
    await close(tasks)


async def test_a_task_given_back_comes_again_after_the_delay(stream: EventStream) -> None:
    await queue(stream, "t1")
    started = asyncio.get_running_loop().time()
    await (await next_within(tasks := pull(stream))).retry(0.3)
    again = await next_within(tasks)
    assert (again.data, again.deliveries) == (b"t1", 2)
    assert asyncio.get_running_loop().time() - started > 0.29
    await close(tasks)


async def test_an_unfinished_task_goes_to_another_executor(
    stream: EventStream, other: EventStream
) -> None:
    await queue(stream, "t1")
    await next_within(tasks := pull(stream))
    await close(tasks)
    again = await next_within(theirs := pull(other))
    assert (again.data, again.deliveries) == (b"t1", 2)
    await close(theirs)


async def test_an_extended_task_stays_with_its_executor(
    stream: EventStream, other: EventStream
) -> None:
    await queue(stream, "t1")
    delivery = await next_within(mine := pull(stream))
    await close(mine)
    theirs = pull(other)
    waiting = asyncio.create_task(next_within(theirs))
    for _ in range(6):
        await asyncio.wait({waiting}, timeout=0.3)
        await delivery.extend()
    assert not waiting.done()
    assert (await waiting).deliveries == 2
    await close(theirs)


async def test_a_withdrawn_task_is_not_delivered(stream: EventStream) -> None:
    await queue(stream, "gone", execution="e.1")
    await queue(stream, "kept", execution="e.2")
    await queue(stream, "gone too", execution="e.1", kind="grpc")
    await stream.tasks.withdraw("e.1")
    delivery = await next_within(tasks := pull(stream, "http", "grpc"))
    assert delivery.data == b"kept"
    await delivery.ack()
    assert await nothing_comes(tasks)
    await close(tasks)


async def test_the_queue_tells_how_many_tasks_of_an_execution_are_unfinished(
    stream: EventStream,
) -> None:
    assert await stream.tasks.queued("e.1") == 0
    await queue(stream, "one", execution="e.1")
    await queue(stream, "two", execution="e.1", kind="grpc")
    await queue(stream, "other", execution="e.2")
    delivery = await next_within(tasks := pull(stream))
    assert await stream.tasks.queued("e.1") == 2
    await delivery.ack()
    await (await next_within(other := pull(stream, "grpc"))).ack()
    await close(tasks)
    await close(other)
    async with asyncio.timeout(10):
        while await stream.tasks.queued("e.1"):
            await asyncio.sleep(0.02)
    assert await stream.tasks.queued("e.2") == 1


@pytest.mark.parametrize("name", ["a.b", "*", ">", "ä/ö", "x y", "%2E", "a=b"])
async def test_any_text_may_name_kind_and_execution(stream: EventStream, name: str) -> None:
    await queue(stream, "t1", kind=name, execution=name)
    await queue(stream, "t2", kind=name, execution="other")
    await stream.tasks.withdraw(name)
    delivery = await next_within(tasks := pull(stream, name))
    assert delivery.data == b"t2"
    await close(tasks)


async def test_a_repeated_publish_is_queued_once(stream: EventStream) -> None:
    await queue(stream, "same", "same")
    await (await next_within(tasks := pull(stream))).ack()
    assert await nothing_comes(tasks)
    await close(tasks)
