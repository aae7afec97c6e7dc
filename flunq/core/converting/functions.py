"""Calls of functions: what a ``functionRef`` becomes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.converting.expressions import enclose, literal
from flunq.core.reading.problems import quoted
from flunq.core.reading.rules import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Work

CONFIGURATION = "https://serverlessworkflow.io/spec/1.0.0/errors/configuration"
_HTTP = re.compile(r"rest:(get|post|put|patch|delete|head|options):(.+)", re.IGNORECASE)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def call_function(reference: Node, work: Work) -> dict[str, Any]:
    """Return the task that calls the function of a ``functionRef``."""
    name = reference
    arguments: Any = {}
    if isinstance(reference.value, dict):
        reference.only("refName", "arguments", "selectionSet", "invoke")
        given = reference.get("refName")
        if given is None:
            return refused(reference, "this names no function", "no-name")
        name = given
        written = reference.get("arguments")
        arguments = {} if written is None else work.rewriter.value(written)
    function = work.find("functions", name)
    if function is None:
        return failing(f"there is no function {quoted(str(name.value))}")
    function.only("name", "operation", "type", "authRef", "metadata")
    return _call(function, arguments, name, work)


def failing(detail: str) -> dict[str, Any]:
    """Return a task that fails, in place of one that could not be converted."""
    error = {"type": CONFIGURATION, "status": 400, "title": "Not converted", "detail": detail}
    return {"raise": {"error": error}}


def refused(node: Node, why: str, rule: str, *, hint: str | None = None) -> dict[str, Any]:
    """Note that something has no counterpart and return the task in its place."""
    node.problem(f"{why}; the task in its place fails", rule, hint=hint)
    return failing(why)


def _call(function: Node, arguments: Any, place: Node, work: Work) -> dict[str, Any]:
    kind = function.text("type", "rest") or "rest"
    convert = _KINDS.get(kind)
    if convert is None:
        return refused(place, f"functions of type {quoted(kind)} have no counterpart", "function")
    return convert(function, arguments, work)


def _rest(function: Node, arguments: Any, work: Work) -> dict[str, Any]:
    found = _HTTP.fullmatch(function.text("operation"))
    if found:
        return _http(found[1], found[2], function, arguments, work)
    parts = _operation(function, 1)
    if parts is None:
        return refused(function, "this is no OpenAPI document and operation", "operation")
    members: dict[str, Any] = {"document": {"endpoint": resource(parts[0])}}
    members["operationId"] = parts[1]
    if arguments:
        members["parameters"] = arguments
    return {"call": "openapi", "with": members | _authentication(function, work)}


def _http(method: str, uri: str, function: Node, arguments: Any, work: Work) -> dict[str, Any]:
    authentication = _authentication(function, work)
    endpoint: Any = {"uri": uri, **authentication} if authentication else uri
    members: dict[str, Any] = {"method": method.lower(), "endpoint": endpoint}
    if arguments and method.lower() in ("post", "put", "patch"):
        members["body"] = arguments
    elif arguments:
        members["query"] = _texts(arguments)
    return {"call": "http", "with": members}


def _texts(arguments: Any) -> Any:
    """Return query parameters, which are texts in the new language."""
    if not isinstance(arguments, dict):
        return arguments
    return {
        name: value if isinstance(value, str) else literal(value)
        for name, value in arguments.items()
    }


def _grpc(function: Node, arguments: Any, work: Work) -> dict[str, Any]:
    parts = _operation(function, 2)
    if parts is None:
        return refused(function, "this is no proto file, service and method", "operation")
    function.problem(
        "the old language does not say where a gRPC service runs; localhost was put in",
        "grpc-host",
        hint="set service.host and service.port of the converted calls",
    )
    service = {"name": parts[1], "host": "localhost", **_authentication(function, work)}
    members: dict[str, Any] = {
        "proto": {"endpoint": resource(parts[0])},
        "service": service,
        "method": parts[2],
    }
    if arguments:
        members["arguments"] = arguments
    return {"call": "grpc", "with": members}


def _asyncapi(function: Node, arguments: Any, work: Work) -> dict[str, Any]:
    parts = _operation(function, 1)
    if parts is None:
        return refused(function, "this is no AsyncAPI document and operation", "operation")
    members: dict[str, Any] = {
        "document": {"endpoint": resource(parts[0])},
        "operation": parts[1],
        "message": {"payload": arguments},
    }
    return {"call": "asyncapi", "with": members | _authentication(function, work)}


def _expression(function: Node, arguments: Any, work: Work) -> dict[str, Any]:
    if arguments:
        function.problem(
            "arguments of an expression function have no counterpart: it reads the state data",
            "expression-arguments",
        )
    operation = function.get("operation")
    return {"set": enclose(work.rewriter.field(operation) or "null")}


def _custom(function: Node, arguments: Any, work: Work) -> dict[str, Any]:
    found = _HTTP.fullmatch(function.text("operation"))
    if found:
        return _http(found[1], found[2], function, arguments, work)
    name = function.text("name")
    if name in PROTOCOLS:
        name = f"{name}-function"
    function.problem(
        f"a custom function means something to one runtime only; the tasks call {quoted(name)},"
        " which has to be registered",
        "custom-function",
        hint="write it as a Python function, or define it in use.functions",
    )
    task: dict[str, Any] = {"call": name}
    return {**task, "with": arguments} if arguments else task


_KINDS: dict[str, Callable[[Node, Any, Work], dict[str, Any]]] = {
    "rest": _rest,
    "rpc": _grpc,
    "asyncapi": _asyncapi,
    "expression": _expression,
    "custom": _custom,
}


def resource(uri: str) -> str:
    """Return the URI of a document; what has no scheme lies beside the workflow."""
    if _ABSOLUTE.match(uri):
        return uri
    return f"file://{uri.removeprefix('classpath:').removeprefix('file:')}"


def _operation(function: Node, separators: int) -> list[str] | None:
    parts = function.text("operation").split("#")
    return parts if len(parts) == separators + 1 and all(parts) else None


def _authentication(function: Node, work: Work) -> dict[str, Any]:
    policy = work.find("auth", function.get("authRef"))
    return {} if policy is None else {"authentication": {"use": policy.text("name")}}
