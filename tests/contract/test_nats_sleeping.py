"""A reader that nothing comes for has no consumer, and misses nothing for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.log.nats import NatsEventStream, readers, sleeping, tasks
from flunq.log.nats.jetstream import JetStream
from flunq.log.ports import StreamGoneError
from tests.support.nats import nats_server, settings_for
from tests.support.reading import close, next_within
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.log.nats.client import Receive
    from flunq.log.nats.server import NatsServer
    from flunq.log.ports import Record


@pytest.fixture(autouse=True)
def drowsy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody fall asleep after a moment without anything."""
    for module, name in (
        (readers, "EXPIRES"),
        (readers, "QUIET_EXPIRES"),
        (tasks, "_LONG_PULL"),
        (tasks, "_QUIET_PULL"),
    ):
        monkeypatch.setattr(module, name, 0.05)
    for module in (readers, tasks):
        monkeypatch.setattr(module, "AWAKE_SECONDS", 0.1)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with nats_server(tmp_path) as running:
        yield running


@asynccontextmanager
async def connected(server: NatsServer, name: str) -> AsyncIterator[NatsEventStream]:
    async with NatsEventStream(msgspec.structs.replace(settings_for(server), name=name)) as stream:
        await stream.ensure(2)
        yield stream


async def consumers(stream: NatsEventStream, kind: str) -> int:
    info = await JetStream(stream.connection).insist(f"STREAM.INFO.FLUNQ_DEFAULT_{kind}")
    return int(info["state"]["consumer_count"])


async def falls_asleep(stream: NatsEventStream, kind: str) -> None:
    """Return once a reader of a stream had a consumer and has none any more."""
    for wanted in (1, 0):
        async with asyncio.timeout(PATIENCE):
            while await consumers(stream, kind) != wanted:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def asleep(
    stream: NatsEventStream, partition: int
) -> AsyncIterator[asyncio.Task[list[Record]]]:
    """Yield what the next inputs will be for a reader that has fallen asleep."""
    batches = stream.inbox.read(partition, after=0)
    coming = asyncio.create_task(next_within(batches))
    await falls_asleep(stream, "INBOX")
    yield coming
    await close(batches)


async def test_an_input_wakes_its_reader(server: NatsServer) -> None:
    async with connected(server, "reader") as stream, connected(server, "writer") as other:
        batches = stream.inbox.read(1, after=0)
        read = []
        for text in (b"a", b"b", b"c"):
            coming = asyncio.create_task(next_within(batches))
            await falls_asleep(other, "INBOX")
            await other.inbox.publish(1, text, message_id=text.decode())
            read += [record.data for record in await coming]
        await close(batches)
    assert read == [b"a", b"b", b"c"]


async def test_an_input_of_another_partition_wakes_nobody(server: NatsServer) -> None:
    async with connected(server, "reader") as stream, asleep(stream, 1) as coming:
        await stream.inbox.publish(0, b"for another", message_id="0")
        assert await consumers(stream, "INBOX") == 0
        await stream.inbox.publish(1, b"for this one", message_id="1")
        assert [record.data for record in await coming] == [b"for this one"]


async def test_commits_and_events_wake_who_follows(server: NatsServer) -> None:
    async with connected(server, "reader") as stream:
        records, events = stream.journal.follow(after=0), stream.bus.follow(after=0)
        record = asyncio.create_task(next_within(records))
        event = asyncio.create_task(next_within(events))
        await asyncio.gather(falls_asleep(stream, "JOURNAL"), falls_asleep(stream, "EVENTS"))
        await stream.journal.append(0, b"commit", expected=0, headers={})
        await stream.bus.publish("ext", b"event", type="some.type", message_id="1")
        assert [(await record).data, (await event).data] == [b"commit", b"event"]
        await close(records)
        await close(events)


async def test_what_came_while_the_server_was_away_is_read(server: NatsServer) -> None:
    async with connected(server, "reader") as stream, asleep(stream, 0) as coming:
        await server.kill()
        await server.start()
        async with connected(server, "writer") as other:
            await other.inbox.publish(0, b"meanwhile", message_id="1")
        assert [record.data for record in await coming] == [b"meanwhile"]


async def test_what_was_not_heard_is_found_by_looking(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sleeping, "SECOND_LOOK_SECONDS", 0.3)
    async with connected(server, "reader") as stream:
        client = stream.connection.client
        attach = client.attach

        def deaf(subject: str, receive: Receive) -> int:
            inputs = subject.startswith("flunq.inbox.")
            return attach(subject, (lambda *_: None) if inputs else receive)

        monkeypatch.setattr(client, "attach", deaf)
        async with asleep(stream, 0) as coming:
            await stream.inbox.publish(0, b"unheard", message_id="1")
            assert [record.data for record in await coming] == [b"unheard"]


async def test_a_stream_that_was_made_again_is_noticed(server: NatsServer) -> None:
    async with connected(server, "reader") as stream, asleep(stream, 0) as coming:
        await JetStream(stream.connection).insist("STREAM.DELETE.FLUNQ_DEFAULT_INBOX")
        await stream.ensure(2)
        await stream.inbox.publish(0, b"into another stream", message_id="1")
        with pytest.raises(StreamGoneError):
            await coming


async def test_kinds_without_tasks_need_no_consumer(server: NatsServer) -> None:
    async with connected(server, "executor") as stream, connected(server, "owner") as other:
        pulled = stream.tasks.pull(["http", "shell"], limit=lambda: 5)
        for number in ("1", "2"):
            coming = asyncio.create_task(next_within(pulled))
            await asyncio.sleep(0)
            await other.tasks.publish("http", "x", b"task", message_id=number)
            await (await coming).ack()
        info = await JetStream(stream.connection).insist("CONSUMER.NAMES.FLUNQ_DEFAULT_TASKS")
        await close(pulled)
    assert info["consumers"] == ["exec-http"]


async def test_a_task_that_another_executor_left_is_taken(server: NatsServer) -> None:
    async with connected(server, "executor") as stream:
        await stream.tasks.publish("http", "x", b"task", message_id="1")
        first = stream.tasks.pull(["http"], limit=lambda: 5)
        left = await next_within(first)
        second = stream.tasks.pull(["http"], limit=lambda: 5)
        coming = asyncio.create_task(next_within(second))
        await left.retry(0)
        await close(first)
        assert (await coming).data == b"task"
        await close(second)
