"""JSON-RPC 2.0, as ``call: a2a`` and ``call: mcp`` speak it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from flunq.sdk.executor import JSON, Call, TaskError

METHOD_NOT_FOUND = -32601
_EXCERPT = 500


def request(identity: str | int, method: str, parameters: Any = None) -> dict[str, Any]:
    """Return a request; without parameters it has none."""
    message = {"jsonrpc": "2.0", "id": identity, "method": method}
    return message if parameters is None else {**message, "params": parameters}


def notification(method: str, parameters: Any = None) -> dict[str, Any]:
    """Return a message that nobody answers."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    return message if parameters is None else {**message, "params": parameters}


def response(identity: Any, result: Any) -> dict[str, Any]:
    """Return the answer to a request."""
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def refusal(identity: Any, code: int, message: str) -> dict[str, Any]:
    """Return the answer to a request that cannot be met."""
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}


def headers(call: Call, accept: str) -> dict[str, str]:
    """Return the headers of a request over HTTP."""
    key = call.key
    plain = key.isascii() and key.isprintable()
    found = {
        "accept": accept,
        "accept-encoding": "gzip, deflate",
        "content-type": "application/json",
        "idempotency-key": key if plain else quote(key, safe="/:#.~ "),
        "user-agent": "flunq",
    }
    return {**found, "traceparent": call.traceparent} if call.traceparent else found


def encode(message: Any) -> bytes:
    """Return a message on one line."""
    return msgspec.json.encode(message)


def decode(text: str | bytes) -> Any:
    """Return a message, or None for what is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_response(message: Any) -> bool:
    """Tell whether a message answers a request."""
    return isinstance(message, dict) and ("result" in message or "error" in message)


def result_of(message: Any, method: str, who: str) -> JSON:
    """Return the result of an answer; an error in it is a ``runtime`` error."""
    if not is_response(message):
        detail = f"{method}: what {who} answered is no JSON-RPC response: {excerpt(message)}"
        raise TaskError("communication", 502, "Not a JSON-RPC response", detail)
    error = message.get("error")
    if error is None:
        result: JSON = message.get("result")
        return result
    raise failure(error, method, who)


def failure(error: Any, method: str, who: str) -> TaskError:
    """Return the error of the workflow for the error of an answer."""
    members = error if isinstance(error, dict) else {"message": error}
    said = members.get("message")
    detail = f"{method}: {said if isinstance(said, str) and said else 'no reason given'}"
    if "code" in members:
        detail += f" (code {excerpt(members['code'])})"
    if members.get("data") is not None:
        detail += f": {excerpt(members['data'])}"
    return TaskError("runtime", 500, f"{who[:1].upper()}{who[1:]} answered with an error", detail)


def excerpt(value: Any) -> str:
    """Return the beginning of a value for a message."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}..."
