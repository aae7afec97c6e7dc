"""From an operation and the values of a document to a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.sdk.executor import TaskError
from flunq.sdk.web.body import is_json, media_type
from flunq_plugins.http_call import Wanted
from flunq_plugins.openapi_body import Bodies
from flunq_plugins.openapi_parameters import Style
from flunq_plugins.openapi_security import ApiKey, api_keys, takes_authorization
from flunq_plugins.openapi_server import server_url

if TYPE_CHECKING:
    from flunq_plugins.openapi_document import Operation, References

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PLACES = ("path", "query", "header", "cookie")


class RequestBuilder:
    """Puts each value where the operation wants it."""

    def __init__(self, operation: Operation, values: dict[str, Any]) -> None:
        self._operation = operation
        self._values = values
        self._taken: set[str] = set()
        self._missing: list[str] = []
        self._path: dict[str, str] = {}
        self._query: list[str] = []
        self._cookies: list[str] = []
        self._headers: dict[str, str] = {}
        self._keys = api_keys(operation)

    async def build(self, references: References) -> Wanted:
        """Return the request, without credentials; raises a ``validation`` TaskError."""
        from flunq.sdk.web.client import parse_url

        self._place_parameters()
        server, taken = server_url(self._operation, self._left())
        self._taken |= taken
        bodies = Bodies(self._operation, references)
        wanted_type = self._headers.pop("content-type", None)
        content, content_type = await bodies.encode(self._left(), wanted_type)
        self._taken |= bodies.taken
        self._check([*self._missing, *bodies.missing])
        query = "&".join(self._query)
        return Wanted(
            method=self._operation.method,
            url=parse_url(server + self._filled_path() + ("?" + query if query else "")),
            headers=self._all_headers(),
            content=content,
            content_type=content_type,
            secret_headers=frozenset(self._names_of_keys("header")),
            secret_query=frozenset(self._names_of_keys("query")),
        )

    @property
    def unused(self) -> list[str]:
        """Names of the values that the operation has no place for."""
        return sorted(self._left())

    @property
    def wants_key(self) -> bool:
        """Tell whether it takes an API key and nothing else, and none was given."""
        given = any(key.name in self._values for key in self._keys)
        return bool(self._keys) and not given and not takes_authorization(self._operation)

    def use_key(self, key: str) -> None:
        """Send a key where the operation wants it."""
        self._values = {**self._values, self._keys[0].name: key}

    def _place_parameters(self) -> None:
        declared = [p for p in self._operation.parameters if p.get("in") in _PLACES]
        names = {(p["name"], p["in"]) for p in declared}
        keys = [k.parameter for k in self._keys if (k.name, k.place) not in names]
        for parameter in [*declared, *keys]:
            value = self._values.get(parameter["name"])
            self._taken.add(parameter["name"])
            if value is not None:
                self._put(Style(parameter), value)
            elif parameter.get("required") is True or parameter["in"] == "path":
                self._missing.append(parameter["name"])

    def _put(self, style: Style, value: Any) -> None:
        if style.place == "path":
            try:
                self._path[style.name] = style.in_path(value)
            except ValueError as error:
                raise invalid(f"the parameter {style.name} {error}") from error
        elif style.place == "query":
            self._query += style.in_query(value)
        elif style.place == "cookie":
            self._cookies += style.in_query(value)
        else:
            self._headers[style.name.lower()] = style.in_header(value)

    def _left(self) -> dict[str, Any]:
        return {name: v for name, v in self._values.items() if name not in self._taken}

    def _filled_path(self) -> str:
        path = self._operation.path
        unknown = [name for name in _PLACEHOLDER.findall(path) if name not in self._path]
        if unknown:
            raise invalid(f"the path {path} has no parameter {' and no '.join(unknown)}")
        filled = _PLACEHOLDER.sub(lambda found: self._path[found.group(1)], path)
        return filled if filled.startswith("/") else f"/{filled}"

    def _all_headers(self) -> dict[str, str]:
        headers = {"accept": _accept(self._operation)} | self._headers
        if self._cookies:
            headers["cookie"] = "; ".join(self._cookies)
        return headers

    def _names_of_keys(self, place: str) -> list[str]:
        return [key.name.lower() for key in self._keys if _is_at(key, place)]

    def _check(self, missing: list[str]) -> None:
        if missing:
            operation = self._operation.definition.get("operationId")
            names = ", ".join(missing)
            raise invalid(f"{operation} needs {names}, and got {', '.join(self._values) or 'none'}")


def invalid(problem: str) -> TaskError:
    """Return the error for arguments that an operation cannot be called with."""
    return TaskError("validation", 400, "Not a valid OpenAPI call", problem)


def _is_at(key: ApiKey, place: str) -> bool:
    return key.place == place or (key.place == "cookie" and place == "header")


def _accept(operation: Operation) -> str:
    """Return what the operation produces, JSON first, and anything else if need be."""
    produced = operation.definition.get("produces") or operation.root.get("produces")
    if not operation.is_swagger:
        produced = [
            media
            for status, response in _members(operation.definition.get("responses"))
            if str(status).startswith("2") or status == "default"
            for media, _ in _members(_content(response))
        ]
    offered = [str(media) for media in produced] if isinstance(produced, list) else []
    unique = list(dict.fromkeys(media for media in offered if media.isascii()))
    unique.sort(key=lambda media: not is_json(media_type(media)))
    return ", ".join([*unique[:10], "*/*;q=0.1"]) if unique else "*/*"


def _members(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _content(response: Any) -> Any:
    return response.get("content") if isinstance(response, dict) else None
