"""``evaluate.mode: loose``: which texts of a task may be expressions without saying so.

Those are the values that a task works with. What only says how it works (a method, an address,
an operation) is never tried: ``add`` and ``keys`` are names of operations and jq programs alike.
"""

from __future__ import annotations

from typing import Any

from flunq.core.expressions.template import LooseText

_VALUES_WORDS = """
    arguments body data environment headers input message parameters payload query stdin
"""
VALUES = frozenset(_VALUES_WORDS.split())
"""Members of ``with`` and ``run`` that hold values."""
PROTOCOLS = frozenset({"http", "openapi", "grpc", "asyncapi", "a2a", "mcp"})


def loosened(kind: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of a task with its values marked as perhaps expressions."""
    if kind == "set":
        return {**definition, "set": _free(definition["set"])}
    if kind == "call" and "with" in definition:
        known = definition["call"] in PROTOCOLS
        arguments = definition["with"]
        return {**definition, "with": _values(arguments) if known else _free(arguments)}
    if kind in ("run", "emit"):
        return {**definition, kind: _values(definition[kind])}
    return definition


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: (_free if name in VALUES else _values)(value[name]) for name in value}
    return value


def _free(value: Any) -> Any:
    if isinstance(value, str):
        return LooseText(value)
    if isinstance(value, dict):
        return {name: _free(member) for name, member in value.items()}
    return [_free(item) for item in value] if isinstance(value, list) else value
