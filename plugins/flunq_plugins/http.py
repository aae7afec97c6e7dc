"""``call: http``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import JSON, Call, Executor, TaskError
from flunq.sdk.web.body import encode_body
from flunq.sdk.web.forms import plain_text
from flunq.sdk.web.shared import http_client
from flunq_plugins.http_call import OUTPUTS, Wanted, perform

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext

_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
"""Headers that belong to the connection, whatever a document says."""


class HttpExecutor(Executor):
    """Sends HTTP requests."""

    kinds = ("http",)

    async def execute(self, call: Call, context: TaskContext) -> JSON:
        """Send the request and return the response in the form that was asked for."""
        await http_client(context)
        return await perform(_wanted(_object(call.arguments, "with")), call, context)


def _wanted(arguments: dict[str, Any]) -> Wanted:
    from flunq.sdk.web.client import parse_url

    output = arguments.get("output") or "content"
    if output not in OUTPUTS:
        raise _invalid(f"output must be one of {', '.join(OUTPUTS)}")
    endpoint, policy = arguments.get("endpoint"), None
    if isinstance(endpoint, dict):
        policy = endpoint.get("authentication")
        endpoint = endpoint.get("uri")
    url = parse_url(_text(endpoint, "endpoint"))
    parameters = _parameters(arguments.get("query"))
    headers = _strings(arguments.get("headers"))
    content, content_type = encode_body(arguments.get("body"), headers.pop("content-type", None))
    return Wanted(
        method=_text(arguments.get("method"), "method").upper(),
        url=url.copy_merge_params(parameters) if parameters else url,
        headers=headers,
        content=content,
        content_type=content_type,
        policy=policy,
        output=output,
        redirect=arguments.get("redirect") is True,
    )


def _parameters(query: Any) -> dict[str, str | list[str]]:
    members = {} if query is None else _object(query, "query")
    return {
        name: [plain_text(v) for v in value] if isinstance(value, list) else plain_text(value)
        for name, value in members.items()
        if value is not None
    }


def _strings(headers: Any) -> dict[str, str]:
    members = {} if headers is None else _object(headers, "headers")
    strings = {n.lower(): plain_text(v) for n, v in members.items() if v is not None}
    return {name: value for name, value in strings.items() if name not in _FRAMING}


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{what} must be an object")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise _invalid(f"{what} must be a text")
    return value


def _invalid(problem: str) -> TaskError:
    return TaskError("validation", 400, "Not a valid HTTP call", problem)
