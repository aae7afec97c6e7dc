"""Errors: what the named errors of the old language are in terms of the new one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.converting.expressions import enclose, literal
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Work

_STATUS = re.compile(r"[1-5][0-9][0-9]")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def matching(names: list[Node], work: Work) -> dict[str, Any]:
    """Return the members of a ``catch`` for some named errors."""
    filters = [_filter(name, work) for name in names]
    if len(filters) == 1:
        return {"errors": {"with": filters[0]}}
    return {"when": enclose(_any(filters))}


def condition(names: list[Node], work: Work, *, error: str = "") -> str:
    """Return the condition that an error, by default the input, is one of those named."""
    return _any([_filter(name, work) for name in names], error)


def _any(filters: list[dict[str, Any]], error: str = "") -> str:
    tests = (
        f"{error}.{name} == {literal(value)}" for found in filters for name, value in found.items()
    )
    return " or ".join(tests) or "false"


def _filter(name: Node, work: Work) -> dict[str, Any]:
    error = work.find("errors", name)
    if error is None:
        return {"title": str(name.value)}
    code = str(error.value.get("code") or "")
    if _STATUS.fullmatch(code):
        return {"status": int(code)}
    if _URI.fullmatch(code):
        return {"type": code}
    error.problem(
        f"the error {quoted(error.text('name'))} has no code that is an HTTP status or a URI;"
        " it is recognised by its title",
        "error-code",
        hint="raise it with that title, or change the converted conditions",
    )
    return {"title": error.text("name")}
