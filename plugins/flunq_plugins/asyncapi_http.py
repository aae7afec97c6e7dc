"""HTTP for ``call: asyncapi``: a request publishes; events, lines or polling bring messages."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import TaskError
from flunq.sdk.web.body import decode_body
from flunq.sdk.web.client import Outgoing, parse_url
from flunq.sdk.web.shared import http_client
from flunq_plugins.asyncapi_message import Inbound, Outbound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import HttpClient
    from flunq.sdk.web.streams import ReplyStream
    from flunq_plugins.asyncapi_transport import Route

POLL_SECONDS = 1.0
_LONGEST_PAUSE = 60.0
_ACCEPT = "text/event-stream, application/x-ndjson, application/json, */*;q=0.5"
_LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/json-seq"})
_NOTHING_NEW = frozenset({204, 304})
_EXCERPT = 300


class HttpTransport:
    """Sends requests; reads what a server streams, or asks it again and again."""

    async def publish(self, route: Route, message: Outbound, context: TaskContext) -> None:
        """Send the message as a request; any answer but success is an error."""
        client = await http_client(context)
        method = str(route.bindings.get("method") or "POST").upper()
        headers = {name.lower(): value for name, value in message.headers.items()}
        headers = {"content-type": message.content_type, "idempotency-key": message.key} | headers
        if message.traceparent:
            headers.setdefault("traceparent", message.traceparent)
        request = _request(route, method, headers, message.body)
        async with asyncio.timeout(context.settings.request_timeout):
            reply = await client.send(request, auth=route.access.auth)
        if not 200 <= reply.status < 300:
            raise _refused(route, reply.status, reply.body)

    @asynccontextmanager
    async def subscribe(
        self, route: Route, context: TaskContext
    ) -> AsyncIterator[AsyncIterator[Inbound]]:
        """Ask for the channel, and read it in the way that the server chooses."""
        async with aclosing(_Feed(route, context).messages()) as messages:
            yield messages


TRANSPORT = HttpTransport()


def _request(route: Route, method: str, headers: dict[str, str], body: bytes = b"") -> Outgoing:
    url = parse_url(route.target.url())
    if route.access.query:
        url = url.copy_merge_params(route.access.query)
    return Outgoing(method, url, {"user-agent": "flunq"} | headers | route.access.headers, body)


def _refused(route: Route, status: int, body: bytes) -> TaskError:
    detail = f"{route.target.where} answered {status}"
    if body:
        detail += f": {decode_body(body[:_EXCERPT], 'text/plain')}"
    return TaskError("communication", status, detail=detail)


class _Feed:
    """Messages of one channel; where the server stops, the next request goes on."""

    def __init__(self, route: Route, context: TaskContext) -> None:
        self._route = route
        self._context = context
        self._last_event: str | None = None
        self._version: str | None = None
        self._pause = POLL_SECONDS

    async def messages(self) -> AsyncGenerator[Inbound, None]:
        """Give messages for ever."""
        client = await http_client(self._context)
        while True:
            self._pause = POLL_SECONDS
            async with aclosing(self._one_reply(client)) as messages:
                async for message in messages:
                    yield message
            await asyncio.sleep(self._pause)

    async def _one_reply(self, client: HttpClient) -> AsyncGenerator[Inbound, None]:
        request = _request(self._route, "GET", self._headers())
        async with client.stream(request, auth=self._route.access.auth) as reply:
            self._pause = _retry_after(reply.headers)
            if reply.status in _NOTHING_NEW:
                return
            if not 200 <= reply.status < 300:
                raise _refused(self._route, reply.status, await reply.read())
            async for message in self._parts(reply):
                yield message

    def _headers(self) -> dict[str, str]:
        headers = {"accept": _ACCEPT, "accept-encoding": "gzip, deflate"}
        if self._last_event is not None:
            headers["last-event-id"] = self._last_event
        if self._version is not None:
            headers["if-none-match"] = self._version
        return headers

    async def _parts(self, reply: ReplyStream) -> AsyncGenerator[Inbound, None]:
        media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if reply.is_events:
            async for event in reply.events():
                self._last_event = event.id or self._last_event
                yield Inbound(body=event.data.encode(), headers=_event_headers(event))
        elif media in _LINES:
            async for line in reply.lines():
                text = line.strip().removeprefix("\x1e")
                if text:
                    yield Inbound(body=text.encode(), content_type="application/json")
        else:
            body = await reply.read()
            self._version = reply.headers.get("etag")
            if body:
                content_type = reply.headers.get("content-type")
                yield Inbound(body=body, content_type=content_type, headers=reply.headers)


def _event_headers(event: Any) -> dict[str, str]:
    headers = {"event": event.event}
    return headers if event.id is None else headers | {"id": event.id}


def _retry_after(headers: dict[str, str]) -> float:
    text = headers.get("retry-after", "")
    return min(float(text), _LONGEST_PAUSE) if text.isdecimal() else POLL_SECONDS
