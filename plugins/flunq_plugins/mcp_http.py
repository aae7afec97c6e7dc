"""MCP over HTTP: each message is a request, its answer JSON or a stream of events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import TaskError
from flunq.sdk.web.authentication import credentials
from flunq.sdk.web.forms import plain_text
from flunq.sdk.web.shared import http_client
from flunq_plugins import jsonrpc
from flunq_plugins.mcp_session import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.sdk.context import TaskContext
    from flunq.sdk.executor import Call
    from flunq.sdk.web.authentication import Credentials
    from flunq.sdk.web.client import HttpClient, Outgoing
    from flunq.sdk.web.streams import ReplyStream
    from flunq_plugins.mcp_session import Answer

_ACCEPT = "application/json, text/event-stream"
_SESSION = "mcp-session-id"
_VERSION = "mcp-protocol-version"
_OWN = frozenset({"accept", "content-type", "content-length", "transfer-encoding", "connection"})
_GOODBYE = 2.0
"""Seconds for telling the server that the session is over."""


class HttpTransport:
    """Speaks streamable HTTP with one server."""

    def __init__(self, wanted: dict[str, Any], call: Call, context: TaskContext) -> None:
        endpoint = wanted.get("endpoint")
        self._policy = None
        if isinstance(endpoint, dict):
            self._policy = endpoint.get("authentication")
            endpoint = endpoint.get("uri")
        self._endpoint = endpoint
        self._headers = _headers(wanted.get("headers"))
        self._call = call
        self._context = context
        self._session: dict[str, str] = {}
        self._client: HttpClient
        self._granted: Credentials

    async def open(self) -> None:
        """Find out what requests need to carry; connections come with the first one."""
        self._client = await http_client(self._context)
        self._granted = await credentials(self._policy, self._context, self._client)
        self._request("POST")

    async def exchange(self, message: dict[str, Any], answer: Callable[[Any], Answer]) -> Any:
        """Send a request and return its response."""
        request = self._request("POST", jsonrpc.encode(message))
        async with self._client.stream(request, auth=self._granted.auth) as reply:
            if message["method"] == "initialize" and _SESSION in reply.headers:
                self._session[_SESSION] = reply.headers[_SESSION]
            if reply.is_events and 200 <= reply.status < 300:
                return await self._streamed(reply, message, answer)
            body = await reply.read()
        return _response(message, reply.status, body)

    async def notify(self, message: dict[str, Any]) -> None:
        """Send a message that nobody answers."""
        reply = await self._client.send(
            self._request("POST", jsonrpc.encode(message)), auth=self._granted.auth
        )
        if not 200 <= reply.status < 300:
            raise _refused(str(message.get("method", "an answer")), reply.status, reply.body)

    def agreed(self, version: str) -> None:
        """Note the version, which every request names from now on."""
        self._session[_VERSION] = version

    async def aclose(self) -> None:
        """Tell the server that the session is over; it may not care."""
        if _SESSION not in self._session:
            return
        with contextlib.suppress(TaskError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._client.send(self._request("DELETE"), auth=self._granted.auth)

    async def _streamed(
        self, reply: ReplyStream, request: dict[str, Any], answer: Callable[[Any], Answer]
    ) -> Any:
        async for event in reply.events():
            message = jsonrpc.decode(event.data)
            for part in message if isinstance(message, list) else [message]:
                if answers(part, request):
                    return part
                if (said := answer(part)) is not None:
                    await self.notify(said)
        detail = f"{request['method']}: the stream of the MCP server ended without an answer"
        raise TaskError("communication", 502, detail=detail)

    def _request(self, method: str, content: bytes = b"") -> Outgoing:
        from flunq.sdk.web.client import Outgoing, parse_url

        if not isinstance(self._endpoint, str) or not self._endpoint:
            problem = "transport.http needs an endpoint"
            raise TaskError("validation", 400, "Not a valid MCP call", problem)
        headers = jsonrpc.headers(self._call, _ACCEPT)
        headers |= self._headers | self._granted.headers | self._session
        return Outgoing(method, parse_url(self._endpoint), headers, content)


def _headers(wanted: Any) -> dict[str, str]:
    members = wanted if isinstance(wanted, dict) else {}
    strings = {name.lower(): plain_text(v) for name, v in members.items() if v is not None}
    return {name: value for name, value in strings.items() if name not in _OWN}


def _response(request: dict[str, Any], status: int, body: bytes) -> Any:
    message = jsonrpc.decode(body)
    for part in message if isinstance(message, list) else [message]:
        # An error may have no id: the server could not read the request.
        if answers(part, request) or (isinstance(part, dict) and "error" in part):
            return part
    if not 200 <= status < 300:
        raise _refused(request["method"], status, body)
    return message


def _refused(method: str, status: int, body: bytes) -> TaskError:
    detail = f"{method}: the MCP server answered {status}"
    if body:
        detail += f": {jsonrpc.excerpt(body.decode('utf-8', 'replace'))}"
    return TaskError("communication", status, detail=detail)
