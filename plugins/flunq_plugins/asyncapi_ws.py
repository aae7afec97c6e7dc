"""WebSockets for ``call: asyncapi``; needs the extra ``ws``."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from flunq.sdk.executor import TaskError
from flunq_plugins.asyncapi_access import refuse_challenges
from flunq_plugins.asyncapi_message import Inbound, Outbound
from flunq_plugins.asyncapi_transport import CONNECT_TIMEOUT, Route, addresses, tls_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from flunq.sdk.context import TaskContext

_QUEUE = 64
_ABNORMAL = 1006
_PATIENCE = 1.0
_BINARY = "application/octet-stream"


class WebSocketTransport:
    """One connection for each call; a message's headers are those of its handshake."""

    async def publish(self, route: Route, message: Outbound, context: TaskContext) -> None:
        """Connect, send the message and close in order, so that the server has read it."""
        headers = {"idempotency-key": message.key} | message.headers
        if message.traceparent:
            headers.setdefault("traceparent", message.traceparent)
        connection = await _connected(route, context, headers)
        ignoring = asyncio.create_task(_ignore(connection))
        try:
            await connection.send(message.body, text=message.content_type != _BINARY)
            await connection.close()
        except ConnectionClosed as error:
            raise route.broken(error) from error
        finally:
            await _leave(connection)
            ignoring.cancel()
        if connection.close_code == _ABNORMAL:
            raise route.broken("it was not closed in order, so the message may be lost")

    @asynccontextmanager
    async def subscribe(
        self, route: Route, context: TaskContext
    ) -> AsyncIterator[AsyncIterator[Inbound]]:
        """Receive what the server sends on the channel."""
        connection = await _connected(route, context, {})
        try:
            async with aclosing(_messages(route, connection)) as messages:
                yield messages
        finally:
            await _leave(connection)


TRANSPORT = WebSocketTransport()


async def _messages(route: Route, connection: ClientConnection) -> AsyncGenerator[Inbound, None]:
    while True:
        try:
            data = await connection.recv()
        except ConnectionClosed as error:
            raise route.broken(error) from error
        yield Inbound(body=data.encode() if isinstance(data, str) else data)


async def _ignore(connection: ClientConnection) -> None:
    """Read what a server says to everybody: it would not get to the closing otherwise."""
    with contextlib.suppress(ConnectionClosed):
        async for _ in connection:
            pass


async def _leave(connection: ClientConnection) -> None:
    """Close without patience for a server that goes on talking."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()


async def _connected(
    route: Route, context: TaskContext, headers: dict[str, str]
) -> ClientConnection:
    refuse_challenges(route.access, "ws")
    target = route.target
    url = target.url()
    if route.access.query:
        url += f"?{urlencode(route.access.query)}"
    problem: BaseException | None = None
    for address in await addresses(route, context):
        try:
            return await connect(
                url,
                host=address,
                port=target.port,
                ssl=await tls_context(context) if target.secure else None,
                server_hostname=target.host if target.secure else None,
                additional_headers=headers | route.access.headers,
                user_agent_header="flunq",
                compression=None,
                proxy=None,
                open_timeout=CONNECT_TIMEOUT,
                close_timeout=CONNECT_TIMEOUT,
                max_size=context.settings.max_body,
                max_queue=_QUEUE,
            )
        except InvalidStatus as error:
            raise _refused(route, error.response.status_code) from error
        except (WebSocketException, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            problem = error
        except ValueError as error:  # a header that cannot be sent, a redirect elsewhere
            raise route.unreachable(error) from error
    assert problem is not None
    raise route.unreachable(problem)


def _refused(route: Route, status: int) -> TaskError:
    detail = f"{route.target.where} answered {status}"
    return TaskError("communication", status, detail=detail)
