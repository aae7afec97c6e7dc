"""Compiles ``call: a2a`` and ``call: mcp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document import policies
from flunq.core.document.model import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    PutInPlace = Callable[[dict[str, Any]], dict[str, Any]]
    """Puts a reusable authentication policy in place of its name."""


def compile_a2a(definition: dict[str, Any], put: PutInPlace) -> Call:
    """Compile a call of an agent; with a card, the address beside it does not count."""
    arguments = definition.get("with") or {}
    path = ("agentCard", "endpoint") if arguments.get("agentCard") is not None else ("server",)
    return _call("a2a", arguments, path, put)


def compile_mcp(definition: dict[str, Any], put: PutInPlace) -> Call:
    """Compile a call of a server of tools."""
    return _call("mcp", definition.get("with") or {}, ("transport", "http", "endpoint"), put)


def _call(kind: str, arguments: Any, path: tuple[str, ...], put: PutInPlace) -> Call:
    endpoint = _at(arguments, path)
    if isinstance(endpoint, dict):
        arguments = _replaced(arguments, path, put(endpoint))
        path = (*path, "uri")
    parameters = arguments.get("parameters")
    if isinstance(parameters, str) and "${" not in parameters:
        # A text can only be an expression here, so it may be written bare.
        arguments = {**arguments, "parameters": f"${{ {parameters} }}"}
    text = _at(arguments, path)
    is_template = isinstance(text, str) and "${" not in text and "{" in text
    return Call(
        executor=kind,
        arguments=policies.template(arguments),
        uri_path=path if is_template else (),
    )


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _replaced(value: dict[str, Any], path: tuple[str, ...], new: Any) -> dict[str, Any]:
    name, *rest = path
    inner = _replaced(value[name], tuple(rest), new) if rest else new
    return {**value, name: inner}
