"""Compiles ``call`` tasks: which executor, and with what."""

from __future__ import annotations

from typing import Any

from flunq.core.document import policies
from flunq.core.document.model import Call, FunctionCall, Unsupported

LATER = frozenset({"openapi", "grpc", "asyncapi", "a2a", "mcp"})
"""Calls of the language that this version does not run."""


def function_reference(name: str) -> str:
    """Return the JSON pointer of a function that the document defines."""
    return "/use/functions/" + name.replace("~", "~0").replace("/", "~1")


def compile_call(definition: dict[str, Any], use: dict[str, Any]) -> tuple[str, Any]:
    """Return the handler's name and the compiled call."""
    name = str(definition["call"])
    arguments = definition.get("with")
    if name == "http":
        return "call", _http(arguments or {}, use.get("authentications") or {})
    if name in (use.get("functions") or {}):
        target = function_reference(name)
        return "function", FunctionCall(target=target, arguments=policies.template(arguments))
    if name in LATER:
        return "unsupported", Unsupported(detail=f"call: {name} is not supported by this version")
    if "@" in name or "://" in name:
        detail = f"functions from catalogs and addresses ({name}) are not supported by this version"
        return "unsupported", Unsupported(detail=detail)
    template = policies.template({} if arguments is None else arguments)
    return "call", Call(executor=f"function:{name}", arguments=template)


def _http(arguments: dict[str, Any], authentications: dict[str, Any]) -> Call:
    endpoint = arguments.get("endpoint")
    path: tuple[str, ...] = ("endpoint",)
    text = endpoint
    if isinstance(endpoint, dict):
        endpoint = _with_policy(endpoint, authentications)
        arguments = {**arguments, "endpoint": endpoint}
        path, text = ("endpoint", "uri"), endpoint.get("uri")
    is_template = isinstance(text, str) and "${" not in text and "{" in text
    return Call(
        executor="http",
        arguments=policies.template(arguments),
        uri_path=path if is_template else (),
    )


def _with_policy(endpoint: dict[str, Any], authentications: dict[str, Any]) -> dict[str, Any]:
    """Put a reusable authentication policy in place of its name: executors see no document."""
    used = endpoint.get("authentication")
    name = used.get("use") if isinstance(used, dict) else None
    if not isinstance(name, str) or name not in authentications:
        return endpoint
    return {**endpoint, "authentication": authentications[name]}
