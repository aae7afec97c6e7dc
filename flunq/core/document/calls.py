"""Compiles ``call`` tasks: which executor, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document import policies
from flunq.core.document.addresses import AddressError, is_function_address
from flunq.core.document.agents import compile_a2a, compile_mcp
from flunq.core.document.bundle import NotBundledError
from flunq.core.document.messaging import compile_asyncapi, compile_grpc
from flunq.core.document.model import Call, FunctionCall, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

_WITH_POLICIES = {
    "grpc": compile_grpc,
    "asyncapi": compile_asyncapi,
    "a2a": compile_a2a,
    "mcp": compile_mcp,
}


def function_reference(name: str) -> str:
    """Return the JSON pointer of a function that the document defines."""
    return "/use/functions/" + name.replace("~", "~0").replace("/", "~1")


def compile_call(
    definition: dict[str, Any], use: dict[str, Any], outside: Callable[[str], str]
) -> tuple[str, Any]:
    """Return the handler's name and the compiled call.

    ``outside`` returns the reference of a function that is not in the document.
    """
    name = str(definition["call"])
    arguments = definition.get("with")
    if name == "http":
        return "call", _http(arguments or {}, use.get("authentications") or {})
    if name == "openapi":
        return "call", _openapi(arguments or {}, use.get("authentications") or {})
    if name in _WITH_POLICIES:
        named = use.get("authentications") or {}
        return "call", _WITH_POLICIES[name](
            definition, lambda members: _with_policy(members, named)
        )
    if name in (use.get("functions") or {}):
        target = function_reference(name)
        return "function", FunctionCall(target=target, arguments=policies.template(arguments))
    if is_function_address(name):
        try:
            target = outside(name)
        except (AddressError, NotBundledError) as error:
            return "unsupported", Unsupported(detail=f"call {name}: {error}")
        return "function", FunctionCall(target=target, arguments=policies.template(arguments))
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
    return Call(
        executor="http",
        arguments=policies.template(arguments),
        uri_path=path if _is_uri_template(text) else (),
    )


def _openapi(arguments: dict[str, Any], authentications: dict[str, Any]) -> Call:
    arguments = _with_policy(arguments, authentications)
    document = arguments.get("document")
    endpoint = document.get("endpoint") if isinstance(document, dict) else None
    path: tuple[str, ...] = ("document", "endpoint")
    text = endpoint
    if isinstance(document, dict) and isinstance(endpoint, dict):
        endpoint = _with_policy(endpoint, authentications)
        arguments = {**arguments, "document": {**document, "endpoint": endpoint}}
        path, text = (*path, "uri"), endpoint.get("uri")
    return Call(
        executor="openapi",
        arguments=policies.template(arguments),
        uri_path=path if _is_uri_template(text) else (),
    )


def _is_uri_template(text: Any) -> bool:
    return isinstance(text, str) and "${" not in text and "{" in text


def _with_policy(endpoint: dict[str, Any], authentications: dict[str, Any]) -> dict[str, Any]:
    """Put a reusable authentication policy in place of its name: executors see no document."""
    used = endpoint.get("authentication")
    name = used.get("use") if isinstance(used, dict) else None
    if not isinstance(name, str) or name not in authentications:
        return endpoint
    return {**endpoint, "authentication": authentications[name]}
