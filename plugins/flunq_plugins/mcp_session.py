"""One session of the Model Context Protocol, whatever carries its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from flunq.sdk.executor import JSON, TaskError
from flunq_plugins import jsonrpc

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Versions whose messages are alike, as far as they are used here."""
_WHO = "the MCP server"

Answer = Any
"""What a message from the server is answered with; None if with nothing."""


class Transport(Protocol):
    """Carries messages to a server and back."""

    async def open(self) -> None:
        """Connect, or start the server."""

    async def exchange(self, message: dict[str, Any], answer: Callable[[Any], Answer]) -> Any:
        """Send a request and return its response; other messages meanwhile are answered."""

    async def notify(self, message: dict[str, Any]) -> None:
        """Send a message that nobody answers."""

    def agreed(self, version: str) -> None:
        """Note the version of the protocol that holds from now on."""

    async def aclose(self) -> None:
        """End the session; does not raise."""


class Session:
    """A client's side of a session."""

    def __init__(self, transport: Transport, version: str, client: dict[str, str]) -> None:
        self._transport = transport
        self._version = version
        self._client = client
        self._count = 0

    async def initialize(self) -> None:
        """Agree on a version of the protocol; everything else comes after that."""
        offered = {
            "protocolVersion": self._version,
            "capabilities": {},
            "clientInfo": self._client,
        }
        result = await self._request("initialize", offered)
        version = result.get("protocolVersion") if isinstance(result, dict) else None
        if version != self._version and version not in KNOWN_VERSIONS:
            detail = (
                f"initialize: the MCP server speaks version {jsonrpc.excerpt(version)}"
                f" of the protocol, not {self._version}"
            )
            raise TaskError("runtime", 500, "No common version of the protocol", detail)
        self._transport.agreed(str(version))
        await self._transport.notify(jsonrpc.notification("notifications/initialized"))

    async def call(self, method: str, parameters: Any) -> JSON:
        """Send a request and return its result; a tool that failed is a ``runtime`` error."""
        result = await self._request(method, parameters)
        if method == "tools/call" and isinstance(result, dict) and result.get("isError") is True:
            name = parameters.get("name") if isinstance(parameters, dict) else None
            detail = f"tools/call: {name}: {_said(result) or 'no reason given'}"
            raise TaskError("runtime", 500, "The tool failed", detail)
        return result

    async def _request(self, method: str, parameters: Any) -> JSON:
        self._count += 1
        message = jsonrpc.request(self._count, method, parameters)
        response = await self._transport.exchange(message, answer)
        return jsonrpc.result_of(response, method, _WHO)


def answer(message: Any) -> Answer:
    """Return the answer to a message from the server: a ping gets one, nothing else is offered."""
    if not isinstance(message, dict) or "id" not in message or "method" not in message:
        return None
    if message["method"] == "ping":
        return jsonrpc.response(message["id"], {})
    detail = f"this client does not offer {jsonrpc.excerpt(message['method'])}"
    return jsonrpc.refusal(message["id"], jsonrpc.METHOD_NOT_FOUND, detail)


def answers(message: Any, request: dict[str, Any]) -> bool:
    """Tell whether a message is the response to a request."""
    return jsonrpc.is_response(message) and message.get("id") == request["id"]


def _said(result: dict[str, Any]) -> str:
    content = result.get("content")
    texts = (
        part["text"]
        for part in (content if isinstance(content, list) else ())
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )
    return jsonrpc.excerpt(" ".join(texts))
