"""Whether everything that a document needs was registered with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document.addresses import DOCUMENT
from flunq.core.document.bundle import ENGINE_ROLES, Library
from flunq.core.document.functions import check_function, find_cycle
from flunq.core.document.references import Reference, in_schema, in_task, in_workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.reading import Problem, Source

_HINT = "the Python client and flunq apply register it along with the document"


def check_library(source: Source, library: Library) -> list[Problem]:
    """Return what keeps a document from running: what is missing, and functions that are wrong."""
    return list(_Check(source, library).run())


class _Check:
    def __init__(self, source: Source, library: Library) -> None:
        self._source = source
        self._document: dict[str, Any] = source.value
        self._library = library
        self._functions: dict[str, dict[str, Any]] = {}

    def run(self) -> Iterator[Problem]:
        seen: set[str] = set()
        pending = [(found, found.pointer) for found in in_workflow(self._document, DOCUMENT)]
        while pending:
            found, place = pending.pop()
            if found.problem:
                yield self._source.problem(place, found.problem, "bad-address")
            elif found.address not in self._library.table:
                if found.role in ENGINE_ROLES:
                    message = f"{found.address} was not registered with the document"
                    yield self._source.problem(place, message, "not-bundled", hint=_HINT)
            elif found.address not in seen and found.role in ENGINE_ROLES:
                seen.add(found.address)
                yield from self._wrong(found, place)
                pending += [(each, place) for each in self._inside(found)]
        cycle = find_cycle(self._document, self._functions, DOCUMENT)
        if cycle:
            yield self._source.problem("/do", circle_text(cycle), "function-cycle")

    def _wrong(self, found: Reference, place: str) -> Iterator[Problem]:
        if found.role != "function":
            return
        value = self._library.value(found.address)
        for problem in check_function(value, self._document, name=found.address):
            message = f"{found.address}{problem.path}: {problem.message}"
            yield self._source.problem(place, message, problem.rule)

    def _inside(self, found: Reference) -> list[Reference]:
        value = self._library.value(found.address)
        if found.role == "schema":
            return list(in_schema(value, "", found.address))
        if not isinstance(value, dict):
            return []
        self._functions[found.address] = value
        return list(in_task(value, "", found.address, self._document.get("use") or {}))


def circle_text(cycle: list[str]) -> str:
    """Say which functions call each other in a circle."""
    return f"functions call each other in a circle: {' -> '.join(cycle)}"
