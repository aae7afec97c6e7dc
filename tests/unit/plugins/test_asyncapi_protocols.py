"""``call: asyncapi`` over NATS, MQTT and WebSockets, with real servers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import nats
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from flunq.sdk.context import ExecutorSettings, TaskContext
from flunq.sdk.egress import EgressPolicy
from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.testing import make_call, make_context, run_executor
from flunq.services.supervising.network import free_ports
from flunq_plugins import asyncapi_sessions, asyncapi_transport
from flunq_plugins.asyncapi import AsyncApiExecutor
from tests.support.brokers import Broker, broker
from tests.support.certificates import self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

DOCUMENT: dict[str, Any] = {
    "asyncapi": "3.0.0",
    "info": {"title": "Things", "version": "1.0.0"},
    "channels": {
        "things": {
            "address": "things.new",
            "messages": {"thing": {"correlationId": {"location": "$message.payload#/n"}}},
        }
    },
    "operations": {"things": {"action": "send", "channel": {"$ref": "#/channels/things"}}},
}


@pytest.fixture
def document(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write a document for one server; ``bindings`` are those of the operation."""

    def write(protocol: str, host: str, *, bindings: Any = None, **server: Any) -> dict[str, Any]:
        servers = {"main": {"protocol": protocol, "host": host, **server}}
        operation = DOCUMENT["operations"]["things"] | {"bindings": bindings or {}}
        value = DOCUMENT | {"servers": servers, "operations": {"things": operation}}
        (tmp_path / "document.json").write_bytes(msgspec.json.encode(value))
        return {"endpoint": (tmp_path / "document.json").as_uri()}

    return write


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Broker]:
    async with broker(tmp_path) as running:
        yield running


async def call(arguments: dict[str, Any], **members: Any) -> Any:
    return await run_executor(AsyncApiExecutor(), arguments, **members)


async def fails(arguments: dict[str, Any], **members: Any) -> TaskError:
    with pytest.raises(TaskError) as caught:
        await call(arguments, **members)
    return caught.value


def publish(document: dict[str, Any], payload: Any = None, **changes: Any) -> dict[str, Any]:
    message = {"payload": {"n": 1} if payload is None else payload, "headers": {"lang": "de"}}
    return {"document": document, "operation": "things", "message": message} | changes


def consume(document: dict[str, Any], amount: int = 1, **changes: Any) -> dict[str, Any]:
    subscription = {"consume": {"amount": amount}}
    return {"document": document, "operation": "things", "subscription": subscription} | changes


async def repeat(action: Callable[[], Any], until: asyncio.Task[Any]) -> Any:
    """Do something again and again until a task has what it waits for."""
    while not until.done():
        await action()
        await asyncio.wait([until], timeout=0.05)
    return until.result()


def small() -> Any:
    settings = ExecutorSettings(egress=EgressPolicy.development(), programs=True, max_body=100_000)
    return make_context(settings)


class TestNats:
    async def test_a_published_message_arrives_with_its_headers(
        self, running: Broker, document: Any
    ) -> None:
        client = await nats.connect(f"nats://127.0.0.1:{running.nats}")
        subscription = await client.subscribe("things.*")
        await client.flush()
        host = f"127.0.0.1:{running.nats}"
        await call(publish(document("nats", host)), key="e:/do/0", traceparent="00-1-2-01")
        message = await subscription.next_msg()
        await client.close()
        assert (message.subject, message.data) == ("things.new", b'{"n":1}')
        assert message.headers == {
            "content-type": "application/json",
            "Nats-Msg-Id": "e:/do/0",
            "traceparent": "00-1-2-01",
            "lang": "de",
        }

    async def test_a_subscription_receives_what_others_publish(
        self, running: Broker, document: Any
    ) -> None:
        there = document("nats", f"127.0.0.1:{running.nats}", bindings={"nats": {"queue": "q"}})
        waiting = asyncio.create_task(call(consume(there, 2)))
        messages = await repeat(lambda: call(publish(there)), waiting)
        assert [message["payload"] for message in messages] == [{"n": 1}, {"n": 1}]
        assert messages[0]["headers"]["lang"] == "de"
        assert messages[0]["correlationId"] == "1"

    async def test_wrong_credentials_are_an_authentication_error(
        self, tmp_path: Path, document: Any
    ) -> None:
        users = "authorization { users: [{user: u, password: p}] }\n"
        async with broker(tmp_path, authorization=users) as running:
            there = document("nats", f"127.0.0.1:{running.nats}")
            right = {"basic": {"username": "u", "password": "p"}}
            await call(publish(there, authentication=right))
            wrong = {"basic": {"username": "u", "password": "q"}}
            error = await fails(publish(there, authentication=wrong))
        assert (error.type, error.status) == (ERRORS + "authentication", 401)

    async def test_a_token_lets_in(self, tmp_path: Path, document: Any) -> None:
        async with broker(tmp_path, authorization="authorization { token: t0ken }") as running:
            there = document("nats", f"127.0.0.1:{running.nats}")
            await call(publish(there, authentication={"bearer": {"token": "t0ken"}}))
            error = await fails(publish(there))
        assert error.type == ERRORS + "authentication"

    @pytest.mark.parametrize("action", [publish, consume])
    async def test_a_forbidden_subject_is_an_authorization_error(
        self, tmp_path: Path, document: Any, action: Any
    ) -> None:
        permissions = '{publish: {deny: "things.>"}, subscribe: {deny: "things.>"}}'
        users = f"authorization {{ users: [{{user: u, password: p, permissions: {permissions}}}] }}"
        async with broker(tmp_path, authorization=users) as running:
            there = document("nats", f"127.0.0.1:{running.nats}")
            policy = {"basic": {"username": "u", "password": "p"}}
            error = await fails(action(there, authentication=policy))
        assert (error.type, error.status) == (ERRORS + "authorization", 403)

    async def test_tls_checks_the_name_in_the_certificate(
        self, tmp_path: Path, document: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key, certificate = self_signed(tmp_path, "localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        tls = f'tls: {{ cert_file: "{certificate}", key_file: "{key}" }}'
        async with broker(tmp_path, tls=tls, mqtt_tls=f", {tls}") as running:
            await call(publish(document("nats", f"localhost:{running.nats}")))
            await call(publish(document("mqtts", f"localhost:{running.mqtt}")))
            for protocol, port in (("nats", running.nats), ("mqtts", running.mqtt)):
                error = await fails(publish(document(protocol, f"127.0.0.1:{port}")))
                assert (error.type, error.status) == (ERRORS + "communication", 503)

    async def test_tls_that_was_asked_for_is_not_done_without(
        self, running: Broker, tmp_path: Path
    ) -> None:
        server = {"protocol": "nats", "url": f"tls://127.0.0.1:{running.nats}"}
        value = {"asyncapi": "2.6.0", "servers": {"main": server}, "channels": {"things": {}}}
        (tmp_path / "v2.json").write_bytes(msgspec.json.encode(value))
        there = {"endpoint": (tmp_path / "v2.json").as_uri()}
        error = await fails(publish(there, channel="things", operation=None))
        assert (error.type, error.status) == (ERRORS + "communication", 503)
        assert "TLS" in str(error.detail)

    async def test_a_message_that_is_too_large_for_the_server_is_refused(
        self, running: Broker, document: Any
    ) -> None:
        there = document("nats", f"127.0.0.1:{running.nats}")
        error = await fails(publish(there, {"text": "x" * 1_100_000}))
        assert (error.type, error.status) == (ERRORS + "validation", 400)

    async def test_a_server_that_goes_away_ends_the_subscription(
        self, tmp_path: Path, document: Any
    ) -> None:
        async with broker(tmp_path) as running:
            there = document("nats", f"127.0.0.1:{running.nats}")
            waiting = asyncio.create_task(call(consume(there, 2)))
            client = await nats.connect(f"nats://127.0.0.1:{running.nats}")
            heard = asyncio.create_task(_has_subscribers(client))
            await heard
            await client.close()
        with pytest.raises(TaskError) as caught:
            await waiting
        assert caught.value.type == ERRORS + "communication"


async def _has_subscribers(client: Any) -> None:
    """Wait until somebody subscribes to the channel: requests have a responder then."""
    while True:
        try:
            await client.request("things.new", b"{}", timeout=0.1)
        except nats.errors.NoRespondersError:
            await asyncio.sleep(0)
        except nats.errors.TimeoutError:
            return


class TestMqtt:
    async def test_a_published_message_is_received(self, running: Broker, document: Any) -> None:
        there = document("mqtt", f"127.0.0.1:{running.mqtt}")
        waiting = asyncio.create_task(call(consume(there, 2)))
        messages = await repeat(lambda: call(publish(there)), waiting)
        assert [message["payload"] for message in messages] == [{"n": 1}, {"n": 1}]
        assert messages[0]["headers"] == {"topic": "things.new"}

    async def test_a_retained_message_waits_for_its_receiver(
        self, running: Broker, document: Any
    ) -> None:
        bindings = {"mqtt": {"qos": 1, "retain": True}}
        there = document("mqtt", f"127.0.0.1:{running.mqtt}", bindings=bindings)
        await call(publish(there, {"n": 9}))
        (message,) = await call(consume(there))
        assert (message["payload"], message["correlationId"]) == ({"n": 9}, "9")

    async def test_credentials_are_checked(self, tmp_path: Path, document: Any) -> None:
        users = "authorization { users: [{user: u, password: p}] }\n"
        async with broker(tmp_path, authorization=users) as running:
            there = document("mqtt", f"127.0.0.1:{running.mqtt}")
            right = {"basic": {"username": "u", "password": "p"}}
            await call(publish(there, authentication=right))
            error = await fails(publish(there))
        assert (error.type, error.status) == (ERRORS + "authentication", 401)


@asynccontextmanager
async def websocket(
    handler: Callable[[ServerConnection], Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    async with serve(handler, "127.0.0.1", 0, ssl=tls) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def _flood(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send("{}")
            await asyncio.sleep(0)


class TestWebSockets:
    async def test_a_server_that_never_stops_talking_gets_the_message(self, document: Any) -> None:
        received: list[Any] = []

        async def talk(connection: ServerConnection) -> None:
            talking = asyncio.create_task(_flood(connection))
            received.extend([message async for message in connection])
            await asyncio.wait([talking])

        async with websocket(talk) as port:
            await call(publish(document("ws", f"127.0.0.1:{port}")))
        assert received == ['{"n":1}']

    async def test_a_message_is_sent_on_the_channel(self, document: Any) -> None:
        received: list[Any] = []

        async def listen(connection: ServerConnection) -> None:
            request = connection.request
            assert request is not None
            received.append((request.path, dict(request.headers.raw_items())))
            received.extend([message async for message in connection])

        async with websocket(listen) as port:
            there = document("ws", f"127.0.0.1:{port}", pathname="/base")
            policy = {"bearer": {"token": "t"}}
            await call(publish(there, authentication=policy), key="k")
        (path, headers), message = received
        assert (path, message) == ("/base/things.new", '{"n":1}')
        wanted = {"authorization": "Bearer t", "idempotency-key": "k", "lang": "de"}
        assert wanted.items() <= headers.items()

    async def test_messages_are_received_until_there_are_enough(self, document: Any) -> None:
        async def talk(connection: ServerConnection) -> None:
            for number in range(10):
                await connection.send(msgspec.json.encode({"n": number}), text=number % 2 == 0)
            await connection.wait_closed()

        async with websocket(talk) as port:
            there = document("ws", f"127.0.0.1:{port}")
            messages = await call(consume(there, 3))
        assert [message["payload"]["n"] for message in messages] == [0, 1, 2]

    async def test_tls_checks_the_name_in_the_certificate(
        self, tmp_path: Path, document: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key, certificate = self_signed(tmp_path, "localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        async with websocket(lambda connection: connection.wait_closed(), tls) as port:
            await call(publish(document("wss", f"localhost:{port}")))
            error = await fails(publish(document("wss", f"127.0.0.1:{port}")))
        assert (error.type, error.status) == (ERRORS + "communication", 503)

    async def test_a_server_that_hangs_up_is_a_communication_error(self, document: Any) -> None:
        async def hang_up(connection: ServerConnection) -> None:
            await connection.close(1011, "no more")

        async with websocket(hang_up) as port:
            error = await fails(consume(document("ws", f"127.0.0.1:{port}")))
        assert (error.type, error.status) == (ERRORS + "communication", 502)
        assert "no more" in str(error.detail)

    async def test_a_huge_message_is_a_communication_error(self, document: Any) -> None:
        async def shout(connection: ServerConnection) -> None:
            await connection.send("x" * 200_000)
            await connection.wait_closed()

        async with websocket(shout) as port:
            there = document("ws", f"127.0.0.1:{port}")
            error = await fails(consume(there), context=small())
        assert (error.type, error.status) == (ERRORS + "communication", 502)

    async def test_a_flood_that_does_not_count_ends_at_the_deadline(self, document: Any) -> None:
        async with websocket(_flood) as port:
            there = document("ws", f"127.0.0.1:{port}")
            wanted = consume(there, expressions={"filter": "${ false }"})
            error = await fails(wanted, deadline=int((time.time() + 1.0) * 1_000_000))
        assert (error.type, error.status) == (ERRORS + "timeout", 408)

    async def test_an_endless_stream_ends_at_the_limit(self, document: Any) -> None:
        async with websocket(_flood) as port:
            there = document("ws", f"127.0.0.1:{port}")
            error = await fails(consume(there, 1_000_000), context=small())
        assert (error.type, error.status) == (ERRORS + "communication", 502)


class TestAllProtocols:
    @pytest.mark.parametrize("protocol", ["nats", "mqtt", "ws", "http"])
    async def test_nobody_listens(self, document: Any, protocol: str) -> None:
        there = document(protocol, f"127.0.0.1:{free_ports(1)[0]}")
        error = await fails(publish(there))
        assert (error.type, error.status) == (ERRORS + "communication", 503)

    @pytest.mark.parametrize("protocol", ["nats", "mqtt", "ws"])
    async def test_link_local_addresses_are_refused(self, document: Any, protocol: str) -> None:
        error = await fails(publish(document(protocol, "169.254.169.254")))
        assert (error.type, error.status) == (ERRORS + "authorization", 403)

    @pytest.mark.parametrize("protocol", ["nats", "mqtt", "ws"])
    async def test_digest_is_refused(self, document: Any, protocol: str) -> None:
        policy = {"digest": {"username": "u", "password": "p"}}
        error = await fails(publish(document(protocol, "127.0.0.1"), authentication=policy))
        assert error.type == ERRORS + "configuration"

    async def test_a_missing_extra_names_the_command(
        self, document: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(asyncapi_transport._MODULES, "ws", ("absent_module", "ws"))
        error = await fails(publish(document("ws", "127.0.0.1")))
        assert error.type == ERRORS + "configuration"
        assert "pip install 'flunq[ws]'" in str(error.detail)


def fetch(document: dict[str, Any], **batch: Any) -> dict[str, Any]:
    return consume(document) | {"batch": {"limit": 1} | batch}


class Talker:
    """A WebSocket server that says numbers, and notes when nobody listens any more."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self.connections = 0
        self.left = asyncio.Event()
        self.more: asyncio.Queue[int] = asyncio.Queue()

    async def __call__(self, connection: ServerConnection) -> None:
        self.connections += 1
        for number in self._numbers:
            await connection.send(msgspec.json.encode({"n": number}), text=True)
        speaking = asyncio.create_task(self._speak(connection))
        await connection.wait_closed()
        speaking.cancel()
        self.left.set()

    async def _speak(self, connection: ServerConnection) -> None:
        while True:
            number = await self.more.get()
            await connection.send(msgspec.json.encode({"n": number}), text=True)


class TestSessions:
    """A ``foreach`` asks again and again."""

    @asynccontextmanager
    async def asking(self, talker: Talker, document: Any) -> AsyncIterator[Callable[..., Any]]:
        executor, shared = AsyncApiExecutor(), make_context()

        async def ask(**batch: Any) -> Any:
            messages: Any
            call = make_call(fetch(there, **batch), kind="asyncapi")
            messages = await executor.execute(call, TaskContext(shared))
            return [message["payload"]["n"] for message in messages]

        async with websocket(talker) as port:
            there = document("ws", f"127.0.0.1:{port}")
            try:
                yield ask
            finally:
                await executor.aclose()

    async def test_the_subscription_stays_open_between_two_questions(self, document: Any) -> None:
        talker = Talker(1, 2, 3)
        async with self.asking(talker, document) as ask:
            assert [await ask(), await ask(), await ask()] == [[1], [2], [3]]
            assert talker.connections == 1
        assert talker.left.is_set()

    async def test_what_waits_already_is_handed_over_at_once(self, document: Any) -> None:
        talker = Talker(*range(1, 8))
        async with self.asking(talker, document) as ask:
            found = await ask(limit=100)
            while len(found) < 7:
                found += await ask(limit=100)
            assert found == [1, 2, 3, 4, 5, 6, 7]

    async def test_the_end_of_the_time_ends_the_subscription(self, document: Any) -> None:
        talker = Talker(1)
        async with self.asking(talker, document) as ask:
            ends = int((time.time() + 1.0) * 1_000_000)
            assert [await ask(ends=ends), await ask(ends=ends)] == [[1], []]
            await talker.left.wait()

    async def test_the_last_messages_end_the_subscription(self, document: Any) -> None:
        talker = Talker(1, 2)
        async with self.asking(talker, document) as ask:
            assert await ask() == [1]
            assert await ask(last=True) == [2]
            await talker.left.wait()

    async def test_a_withdrawn_question_ends_the_subscription(self, document: Any) -> None:
        talker = Talker(1)
        async with self.asking(talker, document) as ask:
            assert await ask() == [1]
            waiting = asyncio.create_task(ask())
            await asyncio.wait([waiting], timeout=0.05)
            waiting.cancel()
            await talker.left.wait()

    async def test_a_broken_subscription_is_an_error_after_what_came(self, document: Any) -> None:
        async def speak_and_leave(connection: ServerConnection) -> None:
            await connection.send('{"n": 1}')

        async with self.asking(speak_and_leave, document) as ask:  # type: ignore[arg-type]
            assert await ask() == [1]
            with pytest.raises(TaskError) as caught:
                await ask()
            assert caught.value.status == 502

    async def test_a_session_that_nobody_asks_for_is_closed(
        self, document: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asyncapi_sessions, "IDLE_SECONDS", 0.1)
        talker = Talker(1)
        async with self.asking(talker, document) as ask:
            assert await ask() == [1]
            await talker.left.wait()
