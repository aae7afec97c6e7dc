"""The OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from flunq import __version__
from flunq.api.contract import PROBLEM, ApiRoute

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_DESCRIPTION = """\
Start durable workflows, look at them, steer them, and take part in them as a worker.

Every call needs a bearer token (`flunq tokens create`) but those under *operations*. A token is
good for one tenant; admins of the home tenant choose another with the header `Flunq-Tenant`.
Errors are problem details (RFC 9457) whose `type` is `urn:flunq:error:CODE`. Cursors and event ids
are opaque.
"""
_PATHS = {
    "id": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"},
    "link": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,2048}$"},
}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9-]{1,63}$"}
_COMMON_PROBLEMS = (400, 406, 431, 503)
_REASONS = {
    200: "Done.",
    201: "Made.",
    202: "Not yet.",
    204: "Nothing to say.",
    400: "The request cannot be read.",
    401: "The token is missing or not accepted.",
    403: "The role does not suffice.",
    404: "There is no such thing.",
    406: "None of the accepted media types can be made.",
    408: "The body did not arrive in time.",
    409: "Not possible in the present state.",
    410: "It counts no more.",
    413: "The body is too large.",
    415: "The body has another media type.",
    422: "A field or a document is wrong.",
    429: "Too many requests; see Retry-After.",
    431: "The headers are too large.",
    503: "No owner answers, or this process is busy; see Retry-After.",
}
_HEADERS = {
    "startExecution": (("Idempotency-Key", "Starts with the same key are one start."),),
    "followExecution": (("Last-Event-ID", "Go on after this event."),),
    "followEvents": (("Last-Event-ID", "Go on after this event."),),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457); some errors have further members."""

    type: str
    title: str
    status: int
    detail: str = ""
    hint: str = ""


@cache
def document_bytes() -> bytes:
    """Return the document of all routes."""
    from flunq.api.routes import all_routes

    return msgspec.json.format(msgspec.json.encode(document(all_routes())), indent=2) + b"\n"


def document(routes: Sequence[ApiRoute]) -> dict[str, Any]:
    """Return the document of some routes."""
    wanted = [Problem, *_types(routes)]
    schemas, components = msgspec.json.schema_components(wanted, ref_template=_REFERENCE)
    by_type = {_key(kind): schema for kind, schema in zip(wanted, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flunq",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "responses": _problem_responses(by_type[_key(Problem)]),
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(routes: Sequence[ApiRoute]) -> list[Any]:
    found: dict[str, Any] = {}
    for route in routes:
        for kind in (route.body, route.answer, route.query):
            if kind is not None:
                found.setdefault(_key(kind), kind)
    return list(found.values())


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
    }
    if route.description:
        operation["description"] = route.description
    if route.role is None:
        operation["security"] = []
    else:
        operation["x-role"] = route.role
        if route.cluster:
            operation["x-cluster"] = True
    parameters = [*_path_parameters(route), *_query_parameters(route), *_headers(route)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _body(route, schemas)
    operation["responses"] = _responses(route, schemas)
    return operation


def _path_parameters(route: ApiRoute) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATHS.get(name, _path(name))}
        for name in _PARAMETER.findall(route.path)
    ]


def _path(name: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1} if name == "version" else _NAME


def _query_parameters(route: ApiRoute) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = msgspec.json.schema_components([route.query], ref_template=_REFERENCE)[1]
    members = schema[route.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": member}
        for name, member in members.items()
    ]


def _headers(route: ApiRoute) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in _HEADERS.get(route.name, ())
    ]


def _body(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": schemas[_key(route.body)]}
    if route.example is not None:
        media["example"] = route.example
    accepted = [name for name in route.accepts if name != "*/*"]
    return {"required": not route.optional_body, "content": dict.fromkeys(accepted, media)}


def _responses(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in (route.status, *route.also):
        responses[str(status)] = {"description": _REASONS[status]}
        if status not in (204, 202):
            responses[str(status)]["content"] = _content(route, schemas)
    for status in _problems(route):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    return dict(sorted(responses.items()))


def _problem_responses(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        str(status): {"description": text, "content": {PROBLEM: {"schema": schema}}}
        for status, text in _REASONS.items()
        if status >= 400
    }


def _content(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media in route.media:
        is_json = media == "application/json" and route.answer is not None
        content[media] = {"schema": schemas[_key(route.answer)] if is_json else {"type": "string"}}
    return content


def _problems(route: ApiRoute) -> list[int]:
    found = {*_COMMON_PROBLEMS, *route.fails}
    if route.role is not None:
        found |= {401, 403, 404, 429}
    if route.body is not None:
        found |= {408, 413, 415}
    if route.body is not None or route.query is not None or route.role is not None:
        found.add(422)
    if route.writes:
        found.add(409)
    return sorted(found)
