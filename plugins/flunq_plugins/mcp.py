"""``call: mcp``."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from flunq.sdk.durations import seconds
from flunq.sdk.executor import JSON, Call, Executor, TaskError

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext
    from flunq_plugins.mcp_session import Transport

METHODS = frozenset(
    {
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/read",
        "resources/templates/list",
    }
)
VERSION = "2025-06-18"
"""The version of the protocol that is asked for, if a document asks for none."""


class McpExecutor(Executor):
    """Calls servers of the Model Context Protocol; each call has a session of its own."""

    kinds = ("mcp",)

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Open a session, send the request, close the session."""
        asked = _Asked(call)
        limit, error = _limit(asked.timeout, call, context)
        try:
            async with asyncio.timeout(limit):
                return await asked.perform(call, context)
        except TimeoutError:
            detail = f"{asked.method}: no answer within {limit:.1f} s"
            status = 408 if error == "timeout" else 504
            raise TaskError(error, status, detail=detail) from None


class _Asked:
    """The arguments of a call."""

    def __init__(self, call: Call) -> None:
        arguments = _object(call.arguments, "with")
        self.method = arguments.get("method")
        if not isinstance(self.method, str) or self.method not in METHODS:
            raise invalid(f"method must be one of {', '.join(sorted(METHODS))}")
        parameters = arguments.get("parameters")
        self._parameters = None if parameters is None else _object(parameters, "parameters")
        self.timeout = arguments.get("timeout")
        self._version = str(arguments.get("protocolVersion") or VERSION)
        self._client = arguments.get("client")
        self._transport = _object(arguments.get("transport"), "transport")

    async def perform(self, call: Call, context: TaskContext) -> JSON:
        """Open a session, send the request, close the session."""
        from flunq_plugins.mcp_session import Session

        transport = self._open(call, context)
        try:
            await transport.open()
            session = Session(transport, self._version, _client(self._client))
            await session.initialize()
            return await session.call(str(self.method), self._parameters)
        finally:
            await transport.aclose()

    def _open(self, call: Call, context: TaskContext) -> Transport:
        http, stdio = self._transport.get("http"), self._transport.get("stdio")
        if (http is None) == (stdio is None):
            raise invalid("transport must have one of http and stdio")
        if http is not None:
            from flunq_plugins.mcp_http import HttpTransport

            return HttpTransport(_object(http, "transport.http"), call, context)
        from flunq_plugins.mcp_stdio import StdioTransport

        return StdioTransport(_object(stdio, "transport.stdio"), call, context)


def _client(given: Any) -> dict[str, str]:
    """Return what the server is told about its client."""
    from importlib.metadata import version

    members = {} if given is None else _object(given, "client")
    known = ("name", "version", "description")
    found = {name: members[name] for name in known if members.get(name)}
    return {"name": "flunq", "version": version("flunq")} | found


def _limit(wanted: Any, call: Call, context: TaskContext) -> tuple[float, str]:
    """Return how many seconds the call may take, and the kind of error when they are over."""
    limits: list[tuple[float, str]] = []
    if wanted is not None:
        limits.append((seconds(wanted, "timeout"), "timeout"))
    if call.deadline is not None:
        limits.append((max(0.0, call.deadline / 1_000_000 - time.time()), "timeout"))
    return min(limits, default=(context.settings.request_timeout, "communication"))


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{what} must be an object")
    return value


def invalid(problem: str) -> TaskError:
    """Return the error for arguments that cannot be used."""
    return TaskError("validation", 400, "Not a valid MCP call", problem)
