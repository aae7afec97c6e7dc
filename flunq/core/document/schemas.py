"""JSON Schemas inside a document: compiled on first use, never fetched from anywhere."""

from __future__ import annotations

from typing import Any

_UNSET: Any = object()


class SchemaError(Exception):
    """The schema itself cannot be used."""


class Schema:
    """An inline schema of a workflow or task."""

    __slots__ = ("_definition", "_validator")

    def __init__(self, definition: Any) -> None:
        self._definition = definition
        self._validator: Any = _UNSET

    def complaint(self, value: Any) -> str | None:
        """Return what is wrong with ``value``, None if it is valid; raises SchemaError."""
        if self._validator is _UNSET:
            self._validator = _compile(self._definition)
        validator = self._validator
        try:
            if validator.is_valid(value):
                return None
            error = next(validator.iter_errors(value))
        except ValueError as unreadable:  # a text that is not Unicode
            return str(unreadable)
        where = "/".join(str(part) for part in error.instance_path)
        return f"{error.message} (at /{where})" if where else str(error.message)


def _compile(definition: Any) -> Any:
    if not isinstance(definition, dict):
        raise SchemaError("a schema must be an object")
    if "resource" in definition:
        raise SchemaError("schemas from external resources are not supported by this version")
    form = str(definition.get("format", "json"))
    if form.partition(":")[0] != "json":
        raise SchemaError(f"schema format {form!r} is not supported by this version")
    # Deferred: 30 ms that only documents with schemas should pay.
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(definition.get("document", {}), retriever=_refuse)
    except (ValueError, TypeError) as error:
        message = getattr(error, "message", str(error))
        raise SchemaError(f"the schema is not valid: {message}") from error


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the document")
