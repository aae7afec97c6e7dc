"""Who is called: the part of a call that works or fails as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flunq.errors import RejectedError
from flunq.sdk.executor import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.execution.commands import Failure
    from flunq.core.execution.effects import Dispatch

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "grpc": 443}
_COMMUNICATION = ERRORS + "communication"
_TIMEOUT = ERRORS + "timeout"
_SERVER_ERROR = 500
FUNCTION = "function:"


def target_of(dispatch: Dispatch) -> str:
    """Return the function, or the server as ``scheme://host:port``; empty if there is none."""
    kind = dispatch.kind
    if kind.startswith(FUNCTION):
        return kind
    address = _ADDRESSES.get(kind)
    if address is None or not isinstance(dispatch.arguments, dict):
        return ""
    found = address(dispatch.arguments)
    return found if kind == "grpc" else _origin(found)


def as_target(text: str) -> str:
    """Return what somebody wrote as tasks have it; raises RejectedError if none could."""
    if text.startswith(FUNCTION) and text != FUNCTION:
        return text
    found = _origin(text)
    if not found:
        raise RejectedError(
            f"{text!r} is no target of calls",
            hint="such as https://api.example.com:443 or function:charge",
        )
    return found


def is_broken(failure: Failure | None) -> bool:
    """Tell whether an outcome speaks against the target: no answer, or one that says so."""
    if failure is None:
        return False
    if failure.type == _COMMUNICATION:
        return failure.status >= _SERVER_ERROR
    return failure.type == _TIMEOUT


def _origin(value: Any) -> str:
    if not isinstance(value, str) or "://" not in value:
        return ""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    if not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{port}" if port else f"{parts.scheme}://{host}"


def _uri(value: Any) -> Any:
    return value.get("uri") if isinstance(value, dict) else value


def _member(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _grpc(arguments: dict[str, Any]) -> str:
    host, port = _member(arguments, "service", "host"), _member(arguments, "service", "port")
    return f"grpc://{host}:{port or 443}" if isinstance(host, str) and host else ""


def _a2a(arguments: dict[str, Any]) -> Any:
    for name in ("server", "agentCard"):
        if name in arguments:
            value = arguments[name]
            return _uri(_member(value, "endpoint") or value)
    return None


_ADDRESSES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "http": lambda given: _uri(given.get("endpoint")),
    "openapi": lambda given: _uri(_member(given, "document", "endpoint")),
    "grpc": _grpc,
    "a2a": _a2a,
    "mcp": lambda given: _uri(
        _member(given, "server", "transport", "http", "endpoint")
        or _member(given, "transport", "http", "endpoint")
    ),
}
