"""MQTT 3.1.1 for ``call: asyncapi``; needs the extra ``mqtt``."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiomqtt import Client, Message, MqttCodeError, MqttError, ProtocolVersion

from flunq.sdk.executor import TaskError
from flunq_plugins.asyncapi_access import refuse_challenges
from flunq_plugins.asyncapi_message import Inbound, Outbound
from flunq_plugins.asyncapi_transport import CONNECT_TIMEOUT, Route, addresses, tls_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from flunq.sdk.context import TaskContext

_LOGGER = logging.getLogger("flunq.executor.mqtt")
_QUEUE = 65_536
_BAD_CREDENTIALS = frozenset({4, 5, 134, 135})
_AT_LEAST_ONCE = 1


class MqttTransport:
    """Publishes to and subscribes to topics, at least once unless the document says otherwise."""

    async def publish(self, route: Route, message: Outbound, context: TaskContext) -> None:
        """Send a message and wait for the broker's acknowledgement."""
        async with _connected(route, context) as client:
            await client.publish(
                route.target.channel,
                message.body,
                qos=_qos(route),
                retain=route.bindings.get("retain") is True,
                timeout=CONNECT_TIMEOUT,
            )

    @asynccontextmanager
    async def subscribe(
        self, route: Route, context: TaskContext
    ) -> AsyncIterator[AsyncIterator[Inbound]]:
        """Receive what is published from now on, and what is retained."""
        async with _connected(route, context) as client:
            await client.subscribe(route.target.channel, qos=_qos(route), timeout=CONNECT_TIMEOUT)
            async with aclosing(_messages(route, client)) as messages:
                yield messages


TRANSPORT = MqttTransport()


async def _messages(route: Route, client: Client) -> AsyncGenerator[Inbound, None]:
    try:
        async for message in client.messages:
            payload = message.payload
            body = payload if isinstance(payload, bytes) else str(payload).encode()
            yield Inbound(body=body, headers={"topic": str(message.topic)})
    except MqttError as error:
        raise route.broken(error) from error


@asynccontextmanager
async def _connected(route: Route, context: TaskContext) -> AsyncIterator[Client]:
    refuse_challenges(route.access, "mqtt")
    problem: MqttError | None = None
    tls = await _named_tls(route.target.host, context) if route.target.secure else None
    for address in await addresses(route, context):
        client = _client(route, address, tls, context.settings.max_body)
        try:
            await client.__aenter__()
        except MqttError as error:
            problem = error
            if tls is not None:
                tls.abandon()
            continue
        try:
            yield client
        except MqttError as error:
            raise _explained(route, error) from error
        finally:
            await _leave(client)
        return
    assert problem is not None
    raise _explained(route, problem)


async def _leave(client: Client) -> None:
    try:
        await client.__aexit__(None, None, None)
    except MqttError as error:
        _LOGGER.debug("disconnecting failed: %s", error)


def _client(route: Route, address: str, tls: _Named | None, limit: int) -> Client:
    access = route.access
    return Client(
        address,
        route.target.port,
        username=(access.username or access.token) or None,
        password=access.password if access.token is None else access.token,
        protocol=ProtocolVersion.V311,
        timeout=CONNECT_TIMEOUT,
        tls_context=tls,
        max_queued_incoming_messages=_QUEUE,
        queue_type=_queue_of(limit),
        logger=_LOGGER,
    )


def _queue_of(limit: int) -> type[asyncio.Queue[Message]]:
    """Return a queue that holds so many bytes; what comes too fast for it is dropped."""

    class Queue(asyncio.Queue[Message]):
        size = 0

        def _put(self, item: Message) -> None:
            self.size += _size(item)
            super()._put(item)

        def _get(self) -> Message:
            item = super()._get()
            self.size -= _size(item)
            return item

        def full(self) -> bool:
            return self.size > limit or super().full()

    return Queue


def _size(message: Message) -> int:
    payload = message.payload
    return len(payload) if isinstance(payload, bytes) else len(str(payload))


class _Named(ssl.SSLContext):
    """Asks for the certificate of a name: the connection goes to an address."""

    server_name = ""
    wrapped: ssl.SSLSocket | None = None

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap a socket for the name."""
        named = options | {"server_hostname": self.server_name}
        self.wrapped = super().wrap_socket(*arguments, **named)
        return self.wrapped

    def abandon(self) -> None:
        """Close the socket of a connection that did not come about: the library forgets it."""
        if self.wrapped is not None:
            self.wrapped.close()


async def _named_tls(name: str, context: TaskContext) -> _Named:
    trusted = await tls_context(context)
    named = _Named(ssl.PROTOCOL_TLS_CLIENT)
    named.server_name = name
    for certificate in trusted.get_ca_certs(binary_form=True):
        named.load_verify_locations(cadata=certificate)
    return named


def _qos(route: Route) -> int:
    qos = route.bindings.get("qos", _AT_LEAST_ONCE)
    return qos if qos in (0, 1, 2) and not isinstance(qos, bool) else _AT_LEAST_ONCE


def _explained(route: Route, error: MqttError) -> TaskError:
    code = getattr(error.rc, "value", error.rc) if isinstance(error, MqttCodeError) else None
    if code in _BAD_CREDENTIALS:
        return TaskError("authentication", 401, detail=f"{route.target.where}: {error}")
    return route.unreachable(error)
