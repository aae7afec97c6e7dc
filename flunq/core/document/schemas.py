"""JSON Schemas of a document: compiled on first use, with what was registered beside them."""

from __future__ import annotations

from typing import Any

from flunq.core.document.addresses import DOCUMENT, AddressError, locate
from flunq.core.document.bundle import EMPTY, Library, NotBundledError
from flunq.core.document.references import place, relinked
from flunq.core.document.schema_cost import Cost, TooCostlyError

FORMAT = "json"
DIALECTS = {
    "draft-04": "http://json-schema.org/draft-04/schema#",
    "draft-06": "http://json-schema.org/draft-06/schema#",
    "draft-07": "http://json-schema.org/draft-07/schema#",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}
"""Versions that ``format: json:VERSION`` may name."""

_UNSET: Any = object()
_INLINE = "bundled:///document"
_BUNDLED = "bundled:///"


class SchemaError(Exception):
    """The schema itself cannot be used."""


class Schema:
    """A schema of a workflow or task."""

    __slots__ = ("_base", "_cost", "_definition", "_library", "_validator")

    def __init__(self, definition: Any, library: Library = EMPTY, base: str = DOCUMENT) -> None:
        self._definition = definition
        self._library = library
        self._base = base
        self._validator: Any = _UNSET
        self._cost: Cost | None = None

    def complaint(self, value: Any) -> str | None:
        """Return what is wrong with ``value``, None if it is valid; raises SchemaError."""
        if self._validator is _UNSET:
            self._validator = self._compile()
        if self._cost is not None:
            try:
                self._cost.check(value)
            except TooCostlyError as error:
                raise SchemaError(str(error)) from error
        return _complaint(self._validator, value)

    def _compile(self) -> Any:
        definition = self._definition
        if not isinstance(definition, dict):
            raise SchemaError("a schema must be an object")
        dialect = dialect_of(definition)
        document, base, uri = self._root(definition)
        linked = _Linked(self._library)
        root = linked.copy(document, base)
        if dialect and isinstance(root, dict):
            root = {"$schema": dialect, **root}
        validator = _validator(root, uri, linked)
        cost = Cost(root, uri, linked.documents)
        self._cost = None if cost.is_simple else cost
        return validator

    def _root(self, definition: dict[str, Any]) -> tuple[Any, str, str]:
        if "resource" not in definition:
            return definition.get("document", {}), self._base, _INLINE
        resource = definition["resource"]
        written, _ = place(resource.get("endpoint") if isinstance(resource, dict) else None)
        try:
            address = locate(written, self._base)
            value = self._library.value(address)
        except (AddressError, NotBundledError) as error:
            raise SchemaError(str(error)) from error
        return value, address, _uri(self._library, address)


def dialect_of(definition: dict[str, Any]) -> str | None:
    """Return the dialect that ``format`` names, if it names one; raises SchemaError."""
    form, colon, version = str(definition.get("format", FORMAT)).partition(":")
    if form != FORMAT:
        raise SchemaError(f"the schema format {form!r} is unknown; use 'json'")
    if not colon:
        return None
    if version not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise SchemaError(f"the version {version!r} of JSON Schema is unknown; known are: {known}")
    return DIALECTS[version]


class _Linked:
    """Copies of the registered schemas that refer to each other by their content."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.documents: dict[str, Any] = {}

    def copy(self, document: Any, base: str) -> Any:
        """Return a schema with its links, and have ready what they lead to."""
        try:
            return relinked(document, base, self._link)
        except (AddressError, NotBundledError) as error:
            raise SchemaError(str(error)) from error
        except RecursionError as error:
            raise SchemaError("the schema is nested too deeply") from error

    def _link(self, written: str, address: str, pointer: str) -> str:
        value = self._library.value(address)
        uri = _uri(self._library, address)
        if uri not in self.documents:
            self.documents[uri] = None  # it may refer to itself
            self.documents[uri] = relinked(value, address, self._link)
        return uri

    def retrieve(self, uri: str) -> Any:
        """Return a schema by the URI that its content has here."""
        try:
            return self.documents[uri.partition("#")[0]]
        except KeyError:
            raise ValueError(f"{uri} is outside of the document") from None


def _uri(library: Library, address: str) -> str:
    return f"{_BUNDLED}{library.table[address].sha256}"


def _validator(root: Any, uri: str, linked: _Linked) -> Any:
    # Deferred: 30 ms that only documents with schemas should pay.
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(
            root, retriever=linked.retrieve, base_uri=uri, validate_formats=True
        )
    except (ValueError, TypeError) as error:
        message = getattr(error, "message", str(error))
        raise SchemaError(f"the schema is not valid: {message}") from error


def _complaint(validator: Any, value: Any) -> str | None:
    try:
        if validator.is_valid(value):
            return None
        error = next(validator.iter_errors(value))
    except ValueError as unreadable:  # a text that is not Unicode
        return str(unreadable)
    where = "/".join(str(part) for part in error.instance_path)
    return f"{error.message} (at /{where})" if where else str(error.message)
