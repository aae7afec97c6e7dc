"""OpenAPI documents, 2.0 to 3.1: finding an operation and following references."""

from __future__ import annotations

import difflib
import posixpath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import msgspec

from flunq.sdk.executor import TaskError
from flunq.sdk.web.documents import ParsedDocument, load_document
from flunq.sdk.web.resources import shown

if TYPE_CHECKING:
    from flunq.sdk.context import TaskContext

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MAX_HOPS = 32
MAX_DOCUMENTS = 32


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a document, and the document it stands in."""

    value: Any
    document: ParsedDocument

    def child(self, value: Any) -> Placed:
        """Return a part of this part."""
        return Placed(value=value, document=self.document)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation and what surrounds it, references resolved one level deep."""

    method: str
    path: str
    definition: dict[str, Any]
    parameters: tuple[dict[str, Any], ...]
    servers: Any
    """The nearest ``servers``, if any."""
    body: Placed | None
    """The ``requestBody`` of 3.x."""
    schemes: dict[str, dict[str, Any]]
    """Security schemes by name."""
    root: dict[str, Any]
    uri: str
    """Where the root document came from."""

    @property
    def is_swagger(self) -> bool:
        """Tell whether it is described in version 2.0."""
        return "swagger" in self.root


class References:
    """Follows ``$ref`` within a document and to its neighbours."""

    def __init__(self, root: ParsedDocument, resource: Any, context: TaskContext) -> None:
        self._root = root
        self._policy = _member(_member(resource, "endpoint"), "authentication")
        self._imports = _member(resource, "imports") or {}
        """What was bundled with a local document: addresses by the name that it has for them."""
        self._names = {root.uri: ""}
        """What bundled documents are called, seen from the root."""
        self._context = context
        self._documents = {root.uri: root}

    @property
    def within_one_document(self) -> bool:
        """Tell whether no neighbour was needed so far."""
        return len(self._documents) == 1

    async def resolve(self, part: Placed) -> Placed:
        """Return what a reference leads to; anything else is returned as it is."""
        for _ in range(MAX_HOPS):
            reference = part.value.get("$ref") if isinstance(part.value, dict) else None
            if not isinstance(reference, str):
                return part
            part = await self._follow(reference, part.document)
        raise _invalid(part.document, f"more than {MAX_HOPS} references lead to one another")

    async def _follow(self, reference: str, document: ParsedDocument) -> Placed:
        place, fragment = urldefrag(reference)
        if place:
            document = await self._neighbour(place, document)
        return Placed(value=_at(document, unquote(fragment)), document=document)

    async def _neighbour(self, place: str, document: ParsedDocument) -> ParsedDocument:
        uri = self._bundled(place, document) or _joined(document, place)
        known = self._documents.get(uri)
        if known is not None:
            return known
        if len(self._documents) >= MAX_DOCUMENTS:
            raise _invalid(self._root, f"it refers to more than {MAX_DOCUMENTS} documents")
        endpoint: dict[str, Any] = {"uri": uri}
        if self._policy is not None and _origin(uri) == _origin(self._root.uri):
            endpoint["authentication"] = self._policy
        found = await load_document({"endpoint": endpoint}, self._context)
        self._documents[uri] = found
        return found

    def _bundled(self, place: str, document: ParsedDocument) -> str | None:
        folder = posixpath.dirname(self._names.get(document.uri, ""))
        name = posixpath.normpath(posixpath.join(folder, place))
        uri = self._imports.get(name) or self._imports.get(place)
        if uri is not None:
            self._names.setdefault(uri, name)
        return uri


async def find_operation(
    root: ParsedDocument, operation_id: str, references: References
) -> Operation:
    """Return an operation by its id."""
    if not isinstance(root.value, dict) or not _is_openapi(root.value):
        raise _invalid(root, "it is neither OpenAPI 3.x nor Swagger 2.0")
    paths = root.value.get("paths")
    ids: list[str] = []
    for path, value in (paths if isinstance(paths, dict) else {}).items():
        item = await references.resolve(Placed(value=value, document=root))
        for method in METHODS:
            definition = item.value.get(method) if isinstance(item.value, dict) else None
            if not isinstance(definition, dict):
                continue
            if definition.get("operationId") == operation_id:
                return await _operation(root, path, method, item, references)
            ids.append(str(definition.get("operationId")))
    raise _invalid(root, f"it has no operation {operation_id!r}{_meant(operation_id, ids)}")


async def _operation(
    root: ParsedDocument, path: str, method: str, item: Placed, references: References
) -> Operation:
    definition = item.value[method]
    body = definition.get("requestBody")
    parameters: dict[tuple[Any, Any], dict[str, Any]] = {}
    for value in [*_list(item.value, "parameters"), *_list(definition, "parameters")]:
        parameter = (await references.resolve(item.child(value))).value
        if isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
            # The operation's own come later, and replace those of the path.
            parameters[parameter["name"], parameter.get("in")] = parameter
    return Operation(
        method=method.upper(),
        path=path,
        definition=definition,
        parameters=tuple(parameters.values()),
        servers=definition.get("servers") or item.value.get("servers"),
        body=None if body is None else await references.resolve(item.child(body)),
        schemes=await _schemes(root, references),
        root=root.value,
        uri=root.uri,
    )


async def _schemes(root: ParsedDocument, references: References) -> dict[str, dict[str, Any]]:
    holder = root.value if "swagger" in root.value else root.value.get("components")
    name = "securityDefinitions" if "swagger" in root.value else "securitySchemes"
    schemes = holder.get(name) if isinstance(holder, dict) else None
    resolved = {
        name: (await references.resolve(Placed(value=value, document=root))).value
        for name, value in (schemes if isinstance(schemes, dict) else {}).items()
    }
    return {name: scheme for name, scheme in resolved.items() if isinstance(scheme, dict)}


def _is_openapi(value: dict[str, Any]) -> bool:
    version = str(value.get("openapi") or value.get("swagger") or "")
    return version.startswith("3" if "openapi" in value else "2")


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _at(document: ParsedDocument, pointer: str) -> Any:
    value = document.value
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdecimal() and int(name[:9]) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise _invalid(document, f"there is nothing at #{pointer}")
    return value


def _joined(document: ParsedDocument, place: str) -> str:
    """Return where a reference leads; only local documents lead to local ones."""
    own, wanted = urlsplit(document.uri).scheme, urlsplit(place).scheme
    if wanted in ("http", "https") or (wanted and wanted == own):
        return place
    if wanted:
        raise _invalid(document, f"its reference to {place} leads to something else than http")
    if own not in ("http", "https", "file"):
        raise _invalid(
            document,
            f"its reference to {place} leads out of the workflow's definition: "
            "give the document in one file, or by an http address",
        )
    return urljoin(document.uri, place)


def _origin(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.netloc


def _meant(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names[:2000], n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _list(value: dict[str, Any], name: str) -> list[Any]:
    members = value.get(name)
    return members if isinstance(members, list) else []


def _invalid(document: ParsedDocument, problem: str) -> TaskError:
    detail = f"{shown(document.uri)}: {problem}"
    return TaskError("validation", 400, "The OpenAPI document cannot be used", detail)
