"""NATS for ``call: asyncapi``: core messages, which live only while somebody listens."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import nats.errors
from nats.aio.client import Client

from flunq.sdk.executor import TaskError
from flunq_plugins.asyncapi_access import refuse_challenges
from flunq_plugins.asyncapi_message import Inbound, Outbound
from flunq_plugins.asyncapi_transport import CONNECT_TIMEOUT, Route, addresses, tls_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from flunq.sdk.context import TaskContext

_CONTENT_TYPE = "content-type"
_DEDUPLICATION = "Nats-Msg-Id"
_PATIENCE = 1.0
_PENDING_MESSAGES = 65_536


class NatsTransport:
    """Publishes to and subscribes to subjects."""

    async def publish(self, route: Route, message: Outbound, context: TaskContext) -> None:
        """Send a message and wait until the server has read it."""
        async with _connected(route, context) as client:
            if len(message.body) > client.max_payload:
                problem = f"the server takes messages of {client.max_payload} bytes at most"
                raise TaskError("validation", 400, "The message is too large", problem)
            headers = {_CONTENT_TYPE: message.content_type, _DEDUPLICATION: message.key}
            if message.traceparent:
                headers["traceparent"] = message.traceparent
            await client.publish(
                route.target.channel, message.body, headers=headers | message.headers
            )
            await _settled(client)

    @asynccontextmanager
    async def subscribe(
        self, route: Route, context: TaskContext
    ) -> AsyncIterator[AsyncIterator[Inbound]]:
        """Receive what is published from now on."""
        async with _connected(route, context) as client:
            subscription = await client.subscribe(
                route.target.channel,
                queue=str(route.bindings.get("queue", "")),
                pending_msgs_limit=_PENDING_MESSAGES,
                pending_bytes_limit=context.settings.max_body,
            )
            await _settled(client)
            async with aclosing(_messages(route, client, subscription)) as messages:
                yield messages


TRANSPORT = NatsTransport()


class _Watched(Client):
    """A client that remembers what ended its connection or its permission."""

    def __init__(self, *, secure: bool) -> None:
        super().__init__()
        self._secure = secure
        self.trouble: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Go on only with encryption where it was asked for: the library leaves it to the server.

        What a server says here comes before any credentials are sent.
        """
        if self._secure and not info.get("tls_required"):
            raise nats.errors.Error("nats: the server does not offer TLS")
        await super()._process_info(info, initial_connection)

    async def note(self, error: BaseException) -> None:
        """Remember the first trouble."""
        if not self.trouble.done():
            self.trouble.set_result(error)

    async def note_end(self) -> None:
        """Remember that the connection is gone."""
        await self.note(ConnectionError("the server closed it"))


@asynccontextmanager
async def _connected(route: Route, context: TaskContext) -> AsyncIterator[_Watched]:
    refuse_challenges(route.access, "nats")
    client = await _connect(route, context)
    try:
        yield client
        if client.trouble.done():
            raise client.trouble.result()
    except nats.errors.Error as error:
        raise _explained(route, error) from error
    except (OSError, TimeoutError) as error:
        raise route.broken(error) from error
    finally:
        await _leave(client)


async def _settled(client: Client) -> None:
    """Wait until the server has read everything; what it refuses is known then."""
    for _ in range(2):
        # The library writes the ping of a flush ahead of what is queued, so one proves nothing.
        await client.flush(timeout=round(CONNECT_TIMEOUT))


async def _leave(client: Client) -> None:
    """Close; after a failed handshake the library would wait for an end that never comes."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await client.close()
    except (TimeoutError, OSError):
        writer = getattr(client._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()


async def _connect(route: Route, context: TaskContext) -> _Watched:
    options = await _options(route, context)
    problem: BaseException | None = None
    for address in await addresses(route, context):
        client = _Watched(secure=route.target.secure)
        host = f"[{address}]" if ":" in address else address
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                # The cluster's other servers were not checked, so they are never tried.
                await client.connect(
                    f"nats://{host}:{route.target.port}",
                    error_cb=client.note,
                    disconnected_cb=client.note_end,
                    **options,
                )
            return client
        except (nats.errors.Error, OSError, TimeoutError) as error:
            problem = client.trouble.result() if client.trouble.done() else error
            await _leave(client)
    assert problem is not None
    raise _explained(route, problem)


async def _options(route: Route, context: TaskContext) -> dict[str, Any]:
    access = route.access
    options: dict[str, Any] = {
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "connect_timeout": round(CONNECT_TIMEOUT),
        "tls": await tls_context(context),
        "tls_hostname": route.target.host,
        "name": "flunq",
    }
    if access.token is not None:
        options["token"] = access.token
    elif access.username is not None:
        options["user"] = access.username
        options["password"] = access.password
    return options


def _explained(route: Route, error: BaseException) -> TaskError:
    text = str(error).lower()
    if "authorization" in text or "authentication" in text:
        return TaskError("authentication", 401, detail=f"{route.target.where}: {error}")
    if "permissions violation" in text:
        return TaskError("authorization", 403, detail=f"{route.target.where}: {error}")
    if isinstance(error, nats.errors.BadSubjectError):
        detail = f"{route.target.channel!r} is no subject"
        return TaskError("validation", 400, "Not a valid AsyncAPI call", detail)
    return route.unreachable(error)


async def _messages(
    route: Route, client: _Watched, subscription: Subscription
) -> AsyncGenerator[Inbound, None]:
    while True:
        message = await _next(client, subscription)
        if message is None:
            raise _explained(route, client.trouble.result())
        headers = {name: str(value) for name, value in (message.headers or {}).items()}
        content_type = next((v for n, v in headers.items() if n.lower() == _CONTENT_TYPE), None)
        yield Inbound(body=message.data, content_type=content_type, headers=headers)


async def _next(client: _Watched, subscription: Subscription) -> Msg | None:
    """Return the next message, None when there will be none."""
    waiting = asyncio.ensure_future(subscription.next_msg(timeout=None))
    try:
        await asyncio.wait((waiting, client.trouble), return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        waiting.cancel()
