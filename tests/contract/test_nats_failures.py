"""What only a real server can do: die, come back, lose a consumer, refuse."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.errors import UnavailableError
from flunq.log.nats import NatsDatabase, NatsEventStream
from flunq.log.nats.jetstream import JetStream
from flunq.log.ports import (
    MessageTooLargeError,
    NoResponderError,
    NotPermittedError,
    OutcomeUnknownError,
    StoreFullError,
    StreamGoneError,
)
from tests.support.nats import nats_server, settings_for
from tests.support.proxy import proxy_to
from tests.support.reading import close, next_within, take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.log.nats.server import NatsServer

ASK = "flunq.ask.default.0"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with nats_server(tmp_path) as running:
        yield running


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[NatsEventStream]:
    async with NatsEventStream(settings_for(server)) as stream:
        await stream.ensure(8)
        yield stream


async def crash(server: NatsServer) -> None:
    await server.kill()
    await server.start()


async def api(stream: NatsEventStream, operation: str, **payload: object) -> dict[str, object]:
    return await JetStream(stream.connection).insist(operation, payload)


async def test_following_survives_a_crash_of_the_server(server: NatsServer) -> None:
    async with connected(server) as stream:
        expected, written, read = 0, [], []
        records = stream.journal.follow(after=0)
        for _ in range(3):
            for _ in range(20):
                expected = await stream.journal.append(0, b"x", expected=expected, headers={})
                written.append(expected)
            read += [(await next_within(records)).seq for _ in range(10)]
            await crash(server)
        read += [(await next_within(records)).seq for _ in range(30)]
        await close(records)
    assert read == written


async def test_acknowledged_appends_survive_a_crash(server: NatsServer) -> None:
    async with connected(server) as stream:
        seqs = [0]
        for _ in range(50):
            seqs.append(await stream.journal.append(1, b"x", expected=seqs[-1], headers={}))
        await crash(server)
        assert [r.seq async for r in stream.journal.read(1, after=0, upto=99)] == seqs[1:]


async def test_an_append_cut_off_by_a_crash_is_unknown_and_can_be_resolved(
    server: NatsServer,
) -> None:
    async with connected(server) as stream:
        first = await stream.journal.append(0, b"1", expected=0, headers={})
        appending = asyncio.create_task(
            stream.journal.append(0, b"2" * 4_000_000, expected=first, headers={})
        )
        await asyncio.sleep(0)
        await server.kill()
        with pytest.raises(OutcomeUnknownError):
            await appending
        await server.start()
        last = await stream.journal.last(0)
        assert last is not None
        assert last.data[:1] in (b"1", b"2")
        assert await stream.journal.append(0, b"3", expected=last.seq, headers={}) > last.seq


async def test_an_append_without_a_server_is_unknown(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.log.nats.jetstream.PUBLISH_TIMEOUT", 0.2)
    async with connected(server) as stream:
        await server.kill()
        with pytest.raises(OutcomeUnknownError):
            await stream.journal.append(0, b"x", expected=0, headers={})


async def test_requests_and_services_survive_a_crash(server: NatsServer) -> None:
    async def echo(data: bytes) -> bytes | None:
        return data

    async with connected(server) as stream, stream.requests.serve("flunq.start.default.0", echo):
        await crash(server)
        answer = await stream.requests.request("flunq.start.default.0", b"hi", timeout=10)
    assert answer == b"hi"


async def test_a_puller_survives_a_crash(server: NatsServer) -> None:
    async with connected(server) as stream:
        tasks = stream.tasks.pull(["http"], limit=lambda: 5)
        await stream.tasks.publish("http", "e", b"1", message_id="1")
        await (await next_within(tasks)).ack()
        await crash(server)
        await stream.tasks.publish("http", "e", b"2", message_id="2")
        found = {(await next_within(tasks)).data}
        while b"2" not in found:
            found.add((await next_within(tasks)).data)
        await close(tasks)


async def test_leases_come_back_after_a_crash(server: NatsServer) -> None:
    async with NatsDatabase(settings_for(server)) as database:
        await database.ensure()
        await database.leases.renew("node", b"1")
        await crash(server)
        assert await database.leases.live() == {}
        await database.leases.renew("node", b"2")
        assert await database.leases.live() == {"node": b"2"}


async def test_a_crash_of_the_server_makes_no_other_node_look_dead(server: NatsServer) -> None:
    settings = msgspec.structs.replace(settings_for(server), lease_ttl=2.0)
    async with NatsDatabase(settings) as database:
        await database.ensure()
        async with NatsDatabase(msgspec.structs.replace(settings, name="other")) as other:
            for name in ("alive", "dead", "gone"):
                await other.leases.renew(name, b"1")
            await database.leases.renew("own", b"1")
            assert set(await database.leases.live()) == {"own", "alive", "dead", "gone"}
            await other.leases.release("gone")
            await database.leases.live()
            await crash(server)
            assert set(await database.leases.live()) == {"alive", "dead"}
            await other.leases.renew("alive", b"2")
            async with asyncio.timeout(10):
                while "dead" in await database.leases.live():
                    await other.leases.renew("alive", b"2")
                    await asyncio.sleep(0.1)
            assert await database.leases.live() == {"alive": b"2"}


async def test_wake_ups_survive_a_restart(server: NatsServer) -> None:
    async with connected(server) as stream:
        due = int((time.time() + 0.5) * 1_000_000)
        await stream.schedules.wake_at(0, "b", due)
        wakes = stream.schedules.wakes(0)
        waiting = asyncio.create_task(next_within(wakes))
        await server.stop()
        await server.start()
        assert await waiting == "b"
        assert time.time() * 1_000_000 >= due
        await close(wakes)


async def test_the_inbox_goes_on_after_its_consumer_was_deleted(server: NatsServer) -> None:
    async with connected(server) as stream:
        await stream.inbox.publish(0, b"1", message_id="1")
        batches = stream.inbox.read(0, after=0)
        await next_within(batches)
        waiting = asyncio.create_task(next_within(batches))
        listed = await api(stream, f"CONSUMER.NAMES.{stream.names.inbox_stream}")
        for name in msgspec.convert(listed["consumers"], list[str]):
            await api(stream, f"CONSUMER.DELETE.{stream.names.inbox_stream}.{name}")
        await stream.inbox.publish(0, b"2", message_id="2")
        assert [record.data for record in await waiting] == [b"2"]
        await close(batches)


async def test_readers_of_a_stream_made_again_are_told(server: NatsServer) -> None:
    async with connected(server) as stream:
        for number in range(5):
            await stream.inbox.publish(0, b"%d" % number, message_id=str(number))
        created = await stream.inbox.created()
        batches = stream.inbox.read(0, after=4)
        assert len(await next_within(batches)) == 1
        waiting = asyncio.create_task(next_within(batches, 20))
        await api(stream, f"STREAM.DELETE.{stream.names.inbox_stream}")
        await stream.ensure(8)
        with pytest.raises(StreamGoneError):
            await waiting
        assert await stream.inbox.created() != created


async def test_a_missing_journal_is_not_an_empty_one(server: NatsServer) -> None:
    async with connected(server) as stream:
        await stream.journal.append(0, b"x", expected=0, headers={})
        await api(stream, f"STREAM.DELETE.{stream.names.journal_stream}")
        with pytest.raises(StreamGoneError):
            await stream.journal.last(0)
        with pytest.raises(OutcomeUnknownError):
            await stream.journal.append(0, b"x", expected=1, headers={})
        assert await stream.drift() == [f"the stream {stream.names.journal_stream} is missing"]


async def test_a_full_stream_refuses_and_forgets_nothing(server: NatsServer) -> None:
    async with connected(server) as stream:
        info = await api(stream, f"STREAM.INFO.{stream.names.inbox_stream}")
        config = msgspec.convert(info["config"], dict[str, object]) | {"max_bytes": 2000}
        await api(stream, f"STREAM.UPDATE.{stream.names.inbox_stream}", **config)
        await stream.inbox.publish(0, b"x" * 1000, message_id="1")
        with pytest.raises(StoreFullError):
            await stream.inbox.publish(0, b"x" * 1000, message_id="2")
        assert len(await take(stream.inbox.read(0, after=0), 1)) == 1
        assert "max_bytes is 2000" in (await stream.drift())[0]


async def test_a_wrong_password_is_said_at_once(server: NatsServer) -> None:
    settings = msgspec.structs.replace(settings_for(server), password="wrong")
    with pytest.raises(UnavailableError, match="refuses these credentials"):
        async with NatsEventStream(settings):
            pass


async def test_no_server_is_said_at_once(server: NatsServer) -> None:
    settings = settings_for(server)
    await server.stop()
    with pytest.raises(UnavailableError, match="no nats-server answers"):
        async with NatsEventStream(settings):
            pass


async def test_a_client_can_ask_and_nothing_else(server: NatsServer) -> None:
    async def echo(data: bytes) -> bytes | None:
        return data

    client_settings = settings_for(server, role="client")
    async with connected(server) as engine, NatsEventStream(client_settings) as client:
        async with engine.requests.serve("flunq.start.default.0", echo):
            answer = await client.requests.request("flunq.start.default.0", b"hi", timeout=5)
        assert answer == b"hi"
        assert await client.bus.publish("ext", b"{}", type="a", message_id="1") == 1
        with pytest.raises(OutcomeUnknownError, match="may not publish"):
            await client.journal.append(0, b"forged", expected=0, headers={})
        with pytest.raises(OutcomeUnknownError, match="may not publish"):
            await client.bus.publish("eng", b"{}", type="a", message_id="2")
        with pytest.raises(NotPermittedError):
            await client.journal.last(0)
        assert await engine.journal.last(0) is None


async def test_a_client_cannot_listen_to_the_answers_of_others(server: NatsServer) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    async with connected(server) as engine:
        mailbox = engine.requests.mailbox()
        async with (
            NatsEventStream(settings_for(server, role="client")) as client,
            engine.requests.listen(mailbox, heard.put_nowait),
            client.requests.listen(mailbox, lambda data: heard.put_nowait(b"spied")),
        ):
            await engine.requests.notify(mailbox, b"secret")
            await engine.requests.notify(mailbox, b"end")
            assert [await heard.get(), await heard.get()] == [b"secret", b"end"]


async def test_an_answer_goes_to_an_inbox_and_nowhere_else(server: NatsServer) -> None:
    asked: list[bytes] = []

    async def echo(data: bytes) -> bytes | None:
        asked.append(data)
        return data

    client_settings = settings_for(server, role="client")
    async with connected(server) as engine, NatsEventStream(client_settings) as client:
        async with engine.requests.serve("flunq.start.default.0", echo):
            forbidden = "flunq.journal.default.0"
            client.connection.client.send("flunq.start.default.0", b"forged", reply=forbidden)
            await client.requests.request("flunq.start.default.0", b"hi", timeout=5)
        assert asked == [b"hi"]
        assert await engine.journal.last(0) is None


async def test_a_name_that_is_too_long_costs_nobody_the_connection(server: NatsServer) -> None:
    endless = "x" * 5_000
    async with connected(server) as engine, NatsDatabase(settings_for(server)) as database:
        await engine.tasks.publish(f"call:{endless}", "e1", b"{}", message_id="1")
        with pytest.raises(MessageTooLargeError):
            await database.state.put(endless, b"")
        with pytest.raises(MessageTooLargeError):
            async with engine.requests.listen(f"flunq.feed.{endless}", lambda _: None):
                pass
        assert await engine.journal.last(0) is None


async def test_one_connection_serves_event_stream_and_database(server: NatsServer) -> None:
    settings = settings_for(server)
    async with NatsEventStream(settings) as stream, NatsDatabase(settings) as database:
        await database.ensure()
        shared = stream.connection
        async with NatsEventStream(msgspec.structs.replace(settings, tenant="t2")) as second:
            assert second.connection is shared
        await database.state.put("k", b"v")
    assert not shared.client.is_connected


async def test_losing_the_connection_for_good_is_told(server: NatsServer) -> None:
    async with connected(server) as stream:
        waiting = asyncio.create_task(stream.wait_lost())
        await stream.connection.client.close()
        async with asyncio.timeout(5):
            assert "closed" in await waiting


async def test_without_a_service_the_client_is_told(server: NatsServer) -> None:
    async with NatsEventStream(settings_for(server, role="client")) as client:
        with pytest.raises(NoResponderError):
            await client.requests.request("flunq.ask.nobody", b"", timeout=5)


async def test_a_silent_network_is_left_even_with_much_unsent(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.log.nats.connection.PATIENCE", 0.3)
    async with proxy_to(server.config.port) as proxy:
        settings = msgspec.structs.replace(
            settings_for(server), url=f"nats://127.0.0.1:{proxy.port}", ping_seconds=0.1
        )
        async with NatsEventStream(settings) as stream:
            await stream.ensure(8)
            await proxy.blackhole()
            for _ in range(15):
                await stream.requests.notify("flunq.notice.x", b"x" * 1_000_000)
            async with asyncio.timeout(20):
                assert await stream.journal.last(0) is None
            assert await stream.journal.append(0, b"x", expected=0, headers={}) > 0
        assert proxy.accepted > 1


async def test_closing_does_not_wait_for_a_silent_network(server: NatsServer) -> None:
    async with proxy_to(server.config.port) as proxy:
        settings = msgspec.structs.replace(
            settings_for(server), url=f"nats://127.0.0.1:{proxy.port}"
        )
        async with asyncio.timeout(10), NatsEventStream(settings) as stream:
            client = stream.connection.client
            await proxy.blackhole()
            for _ in range(15):
                await stream.requests.notify("flunq.notice.x", b"x" * 1_000_000)
    assert client.is_closed


async def test_a_question_that_nobody_kept_is_asked_again(server: NatsServer) -> None:
    copies = 0

    async def answer_the_second(_: bytes) -> bytes | None:
        nonlocal copies
        copies += 1
        return b"here" if copies == 2 else None

    async with connected(server) as stream, stream.requests.serve(ASK, answer_the_second):
        reply = await stream.connection.request(ASK, b"", within=10, again_after=0.01)
        assert reply.data == b"here"


async def test_a_repeatable_request_survives_a_crash_of_the_server(server: NatsServer) -> None:
    lost = asyncio.Event()

    async def answer_the_second(_: bytes) -> bytes | None:
        if lost.is_set():
            return b"here"
        lost.set()
        return None

    async with connected(server) as stream, stream.requests.serve(ASK, answer_the_second):
        request = stream.requests.request(ASK, b"", timeout=15, repeatable=True)
        asking = asyncio.create_task(request)
        await lost.wait()
        await crash(server)
        assert await asking == b"here"
