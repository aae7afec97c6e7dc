"""``call: a2a``."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from flunq.sdk.executor import JSON, Call, Executor, TaskError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from flunq.sdk.context import TaskContext
    from flunq.sdk.web.client import Outgoing
    from flunq.sdk.web.streams import ReplyStream
    from flunq_plugins.a2a_agent import Agent

METHODS = frozenset(
    {
        "message/send",
        "message/stream",
        "tasks/get",
        "tasks/list",
        "tasks/cancel",
        "tasks/resubscribe",
        "tasks/pushNotificationConfig/set",
        "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list",
        "tasks/pushNotificationConfig/delete",
        "agent/getAuthenticatedExtendedCard",
    }
)
_MESSAGES = ("message/send", "message/stream")
_STREAMS = ("message/stream", "tasks/resubscribe")
_WHO = "the agent"


class A2aExecutor(Executor):
    """Sends JSON-RPC requests to agents."""

    kinds = ("a2a",)

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Find the agent, send the request and return its result, or all of a stream's."""
        from flunq_plugins.a2a_agent import find_agent

        arguments = call.arguments if isinstance(call.arguments, dict) else {}
        method = arguments.get("method")
        if not isinstance(method, str) or method not in METHODS:
            raise invalid(f"method must be one of {', '.join(sorted(METHODS))}")
        parameters = _parameters(method, arguments.get("parameters"), call)
        patience = _Patience(call, context.settings.request_timeout, method)
        async with patience:
            agent = await find_agent(arguments, context)
            exchange = _Exchange(agent, method, parameters, call, context)
            return await exchange.run(patience)


def _parameters(method: str, given: Any, call: Call) -> Any:
    """Return the parameters; a message always has the id of the step, whatever the attempt."""
    if given is not None and not isinstance(given, dict):
        raise invalid("parameters must be an object")
    if method not in _MESSAGES:
        return given
    message = (given or {}).get("message")
    if message is not None and not isinstance(message, dict):
        raise invalid("parameters.message must be an object")
    defaults = {"messageId": str(uuid5(NAMESPACE_URL, f"flunq:{call.key}")), "role": "user"}
    return {**(given or {}), "message": defaults | (message or {})}


class _Patience:
    """How long to wait: until the deadline of the task, else between two signs of life."""

    def __init__(self, call: Call, limit: float, method: str) -> None:
        self._deadline = call.deadline
        self._limit = limit
        self._method = method
        self._timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout(self._left())
        await self._timeout.__aenter__()

    async def __aexit__(self, *raised: Any) -> None:
        assert self._timeout is not None
        try:
            await self._timeout.__aexit__(*raised)
        except TimeoutError:
            if self._deadline is None:
                detail = f"{self._method}: nothing came from the agent for {self._limit:g} s"
                raise TaskError("communication", 504, detail=detail) from None
            detail = f"{self._method}: the agent was not done in time"
            raise TaskError("timeout", 408, detail=detail) from None

    def renew(self) -> None:
        """Note a sign of life."""
        if self._deadline is None and self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._limit)

    def _left(self) -> float:
        if self._deadline is None:
            return self._limit
        return max(0.0, self._deadline / 1_000_000 - time.time())


class _Exchange:
    """One request and what comes back."""

    def __init__(
        self, agent: Agent, method: str, parameters: Any, call: Call, context: TaskContext
    ) -> None:
        self._agent = agent
        self._method = method
        self._parameters = parameters
        self._call = call
        self._context = context

    async def run(self, patience: _Patience) -> JSON:
        from flunq.sdk.web.shared import http_client

        client = await http_client(self._context)
        request = self._request()
        async with client.stream(request, auth=self._agent.auth) as reply:
            patience.renew()
            if reply.is_events and 200 <= reply.status < 300:
                return await self._collected(reply, patience)
            result = self._answer(reply.status, await reply.read())
        return [result] if self._method in _STREAMS else result

    def _request(self) -> Outgoing:
        from flunq.sdk.web.client import Outgoing, parse_url
        from flunq_plugins import jsonrpc

        message = jsonrpc.request("1", self._method, self._parameters)
        streams = self._method in _STREAMS
        accept = "text/event-stream, application/json" if streams else "application/json"
        headers = jsonrpc.headers(self._call, accept)
        url = parse_url(self._agent.url)
        return Outgoing("POST", url, headers | self._agent.headers, jsonrpc.encode(message))

    async def _collected(self, reply: ReplyStream, patience: _Patience) -> JSON:
        """Return the results of a stream in order; a plain method has one."""
        results: list[JSON] = []
        size = 0
        async for message, length in _messages(reply):
            patience.renew()
            size += length
            if size > self._context.settings.max_body:
                detail = f"{self._method}: the agent sent more than {size - length} bytes"
                raise TaskError("communication", 502, "The response is too large", detail)
            results.append(self._result(message))
            if self._method not in _STREAMS:
                return results[0]
        if self._method not in _STREAMS:
            detail = f"{self._method}: the stream of the agent ended without an answer"
            raise TaskError("communication", 502, detail=detail)
        return results

    def _answer(self, status: int, body: bytes) -> JSON:
        from flunq_plugins import jsonrpc

        message = jsonrpc.decode(body)
        if 200 <= status < 300 or jsonrpc.is_response(message):
            return self._result(message)
        detail = f"{self._method}: the agent answered {status}"
        if body:
            detail += f": {jsonrpc.excerpt(body.decode('utf-8', 'replace'))}"
        raise TaskError("communication", status, detail=detail)

    def _result(self, message: Any) -> JSON:
        from flunq_plugins import jsonrpc

        return jsonrpc.result_of(message, self._method, _WHO)


async def _messages(reply: ReplyStream) -> AsyncGenerator[tuple[Any, int], None]:
    from flunq_plugins import jsonrpc

    async for event in reply.events():
        message = jsonrpc.decode(event.data)
        yield message if message is not None else event.data, len(event.data)


def invalid(problem: str) -> TaskError:
    """Return the error for arguments that cannot be used."""
    return TaskError("validation", 400, "Not a valid A2A call", problem)
