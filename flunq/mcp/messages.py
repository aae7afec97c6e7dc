"""Messages of the Model Context Protocol: JSON-RPC 2.0, one on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from flunq.errors import FlunqError

VERSIONS = ("2025-06-18", "2025-11-25", "2025-03-26", "2024-11-05")
"""Versions that are spoken; the first one is offered to whoever asks for another."""
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_FOUND = -32002

Message: TypeAlias = dict[str, Any]
Identity: TypeAlias = "str | int"


class ProtocolError(Exception):
    """Why a request is answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool found."""

    value: Any
    failed: bool = False

    def result(self, limit: int) -> Message:
        """Return it as the result of ``tools/call``; a value that is too long is cut in the text.

        Only a whole object is given as structured content too.
        """
        text = self.value if isinstance(self.value, str) else dump(self.value)
        whole = len(text) <= limit
        shown = text if whole else f"{text[:limit]}\n... {len(text) - limit} more characters"
        found: Message = {"content": [{"type": "text", "text": shown}], "isError": self.failed}
        if whole and isinstance(self.value, dict):
            found["structuredContent"] = self.value
        return found


def dump(value: Any) -> str:
    """Return a value as JSON."""
    return msgspec.json.encode(value).decode()


def response(identity: Identity, result: Any) -> Message:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def refusal(identity: Identity | None, code: int, message: str) -> Message:
    """Return the answer to a request that cannot be met."""
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}


def notification(method: str, parameters: Message) -> Message:
    """Return a message that nobody answers."""
    return {"jsonrpc": "2.0", "method": method, "params": parameters}


def refused(error: FlunqError) -> Content:
    """Return what a tool says whose call was refused, with what helps."""
    said = {"error": error.message, "hint": error.hint}
    return Content(value={name: text for name, text in said.items() if text}, failed=True)
