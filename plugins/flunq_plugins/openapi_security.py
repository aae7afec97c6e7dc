"""Security schemes of OpenAPI documents that are no ``Authorization`` header: API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from flunq_plugins.openapi_document import Operation

_BY_HEADER = frozenset({"http", "basic", "oauth2", "openIdConnect"})


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """Where an operation wants a key."""

    name: str
    place: str
    """``header``, ``query`` or ``cookie``."""

    @property
    def parameter(self) -> dict[str, Any]:
        """Return it as a parameter, which is how it may be given."""
        return {"name": self.name, "in": self.place, "schema": {}}


def api_keys(operation: Operation) -> list[ApiKey]:
    """Return the keys that an operation may be called with, of all alternatives."""
    found = [
        ApiKey(name=scheme["name"], place=scheme["in"])
        for alternative in _alternatives(operation)
        for scheme in alternative
        if scheme.get("type") == "apiKey"
        and isinstance(scheme.get("name"), str)
        and scheme.get("in") in ("header", "query", "cookie")
    ]
    return list(dict.fromkeys(found))


def takes_authorization(operation: Operation) -> bool:
    """Tell whether some alternative has an ``Authorization`` header, or none has anything."""
    alternatives = _alternatives(operation)
    kinds = {scheme.get("type") for alternative in alternatives for scheme in alternative}
    return not kinds or bool(kinds & _BY_HEADER)


def _alternatives(operation: Operation) -> list[list[dict[str, Any]]]:
    security = operation.definition.get("security")
    if security is None:
        security = operation.root.get("security")
    return [
        [operation.schemes[name] for name in alternative if name in operation.schemes]
        for alternative in (security if isinstance(security, list) else [])
        if isinstance(alternative, dict)
    ]
