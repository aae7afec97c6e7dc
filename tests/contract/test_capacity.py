"""How full streams are and how far consumers are behind, the same on every backend."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.core.capacity import ConsumerUse, StreamUse
    from flunq.log.ports import Database, Delivery, EventStream

KINDS = {"journal", "inbox", "tasks", "events", "schedules", "dead_letters", "audit"}
SHARED = {"definitions", "state", "tenants", "nodes", "secrets", "identity", "leases"}
FAR = 4_102_444_800_000_000
"""A moment that does not come, in microseconds."""


async def use(stream: EventStream, kind: str) -> StreamUse:
    (found,) = [each for each in (await stream.capacity()).streams if each.kind == kind]
    return found


async def consumer(stream: EventStream) -> ConsumerUse:
    (found,) = (await stream.capacity()).consumers
    return found


async def first(tasks: AsyncIterator[Delivery]) -> bytes:
    return (await anext(tasks)).data


async def until(stream: EventStream, holds: Callable[[ConsumerUse], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(map(holds, (await stream.capacity()).consumers)):
            await asyncio.sleep(0.01)


async def test_empty_streams_hold_nothing(stream: EventStream) -> None:
    capacity = await stream.capacity()
    assert {each.kind for each in capacity.streams} == KINDS
    assert len({each.name for each in capacity.streams}) == len(KINDS)
    for each in capacity.streams:
        assert (each.messages, each.bytes, each.subjects, each.consumers) == (0, 0, 0, 0)
        assert (each.first_at, each.last_at, each.max_bytes, each.replicas) == (None, None, None, 1)
    assert capacity.consumers == []


async def test_a_journal_grows_with_what_is_appended_and_shrinks_when_trimmed(
    stream: EventStream,
) -> None:
    await stream.journal.append(0, b"x" * 1000, expected=0, headers={})
    second = await stream.journal.append(1, b"y" * 1000, expected=0, headers={})
    last = await stream.journal.append(1, b"z" * 1000, expected=second, headers={})
    full = await use(stream, "journal")
    assert (full.messages, full.subjects, full.bytes >= 3000) == (3, 2, True)
    assert full.first_at is not None
    assert full.last_at is not None
    assert full.first_at <= full.last_at
    record = await stream.journal.last(1)
    assert record is not None
    assert abs(full.last_at - record.time * 1_000_000) <= 1
    await stream.journal.append(0, b"", expected=1, headers={})
    await stream.journal.trim(last - 1)
    less = await use(stream, "journal")
    assert (less.messages, less.bytes < full.bytes) == (2, True)


async def test_every_stream_counts_its_own(stream: EventStream) -> None:
    await stream.inbox.publish(3, b"input", message_id="i")
    await stream.tasks.publish("http", "x", b"task", message_id="t")
    await stream.bus.publish("ext", b"{}", type="com.example.a", message_id="e")
    await stream.schedules.wake_at(3, "b", FAR)
    await stream.dead_letters.publish(b"letter", message_id="d")
    await stream.audit.publish(b"[]", message_id="a")
    streams = (await stream.capacity()).streams
    assert {each.kind: each.messages for each in streams} == dict.fromkeys(KINDS, 1) | {
        "journal": 0
    }
    assert all(each.bytes > 0 for each in streams if each.kind != "journal")


async def test_a_consumer_is_behind_until_its_tasks_are_finished(stream: EventStream) -> None:
    for number in range(3):
        await stream.tasks.publish("a:b", f"x{number}", b"task", message_id=f"{number}")
    assert (await stream.capacity()).consumers == []
    async with aclosing(stream.tasks.pull(["a:b"], limit=lambda: 1)) as tasks:  # type: ignore[type-var]
        delivery = await anext(tasks)
        found = await consumer(stream)
        assert (found.serves, found.stream) == ("a:b", (await use(stream, "tasks")).name)
        assert found.pending + found.unacked == 3
        assert found.unacked >= 1
        assert found.delivered_at is not None
        assert found.acked_at is None
        await delivery.ack()
        await until(stream, lambda now: now.acked_at is not None and now.pending + now.unacked == 2)
    assert (await use(stream, "tasks")).consumers == 1


async def test_a_task_that_comes_again_is_counted(stream: EventStream) -> None:
    await stream.tasks.publish("http", "x", b"task", message_id="1")
    async with aclosing(stream.tasks.pull(["http"], limit=lambda: 5)) as tasks:  # type: ignore[type-var]
        await (await anext(tasks)).retry(0.01)
        again = await anext(tasks)
        found = await consumer(stream)
        assert (again.deliveries, found.unacked, found.redelivered) == (2, 1, 1)
        await again.drop()
        await until(stream, lambda now: now.pending + now.unacked + now.redelivered == 0)


async def test_who_waits_for_tasks_is_seen(stream: EventStream) -> None:
    await stream.tasks.publish("http", "x", b"task", message_id="1")
    async with aclosing(stream.tasks.pull(["http"], limit=lambda: 5)) as tasks:  # type: ignore[type-var]
        assert await first(tasks) == b"task"
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(first(tasks))
            await until(stream, lambda now: now.waiting > 0)
            await stream.tasks.publish("http", "x", b"another", message_id="2")
        assert taking.result() == b"another"


async def test_what_all_tenants_share_is_seen_by_who_may(database: Database) -> None:
    await database.blobs.put("key", b"x" * 5000)
    (blobs,) = (await database.capacity(shared=False)).streams
    assert (blobs.kind, blobs.bytes >= 5000) == ("blobs", True)
    before = {each.kind: each for each in (await database.capacity(shared=True)).streams}
    assert before.keys() == SHARED | {"blobs"}
    await database.state.put("a-new-key", b"x" * 100)
    await database.leases.renew("somebody", b"here")
    after = {each.kind: each for each in (await database.capacity(shared=True)).streams}
    assert after["state"].bytes >= before["state"].bytes + 100
    assert after["state"].messages == before["state"].messages + 1
    assert after["leases"].messages >= 1


async def test_what_was_deleted_is_not_there(stream: EventStream) -> None:
    await stream.destroy()
    capacity = await stream.capacity()
    assert (capacity.streams, capacity.consumers) == ([], [])
