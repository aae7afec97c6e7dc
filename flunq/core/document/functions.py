"""Functions outside of the document: files that each define one task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.document.addresses import AddressError, function_address, is_function_address
from flunq.core.document.references import called_functions, escape
from flunq.core.reading import check_source, read_source

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from flunq.core.reading import Problem, Source

_HERE = (1, 1)


def read_function(
    text: bytes, document: dict[str, Any], *, name: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Read a function and return everything that is wrong with it.

    It is checked as if it stood in ``use.functions`` of the document: what it names (secrets,
    authentications, errors, retries) is that of the document. Raises InvalidDocument for a text
    that is neither YAML nor JSON.
    """
    source = read_source(text, name=name)
    key = name
    within = f"/use/functions/{escape(key)}"
    found = check_source(_within(source, document, key))
    problems = [
        msgspec.structs.replace(problem, path=problem.path.removeprefix(within))
        for problem in found
        if problem.path.startswith(within)
    ]
    return source.value, problems


def check_function(value: Any, document: dict[str, Any], *, name: str) -> list[Problem]:
    """Return everything that is wrong with a function that was read before."""
    return read_function(msgspec.json.encode(value), document, name=name)[1]


def _within(source: Source, document: dict[str, Any], key: str) -> Source:
    """Return a source in which the function is one of ``use.functions``."""
    use = document.get("use") or {}
    functions = {**(use.get("functions") or {}), key: source.value}
    value = {
        "document": document["document"],
        "use": {**use, "functions": functions},
        "do": [],
    }
    spots: Any = source.spots
    for member in (key, "functions", "use"):
        spots = (*_HERE, {member: (*_HERE, spots)})
    return msgspec.structs.replace(source, value=value, spots=spots)


def find_cycle(
    document: dict[str, Any], functions: Mapping[str, dict[str, Any]], base: str
) -> list[str] | None:
    """Return the addresses of functions that call each other in a circle.

    Functions of the document alone are left out: they may call themselves and end by a condition.
    """
    use = document.get("use") or {}
    inside = use.get("functions") or {}
    graph = {
        name: _targets(task, use, base) for name, task in inside.items() if isinstance(task, dict)
    } | {address: _targets(task, use, address) for address, task in functions.items()}
    done: set[str] = set()
    for start in functions:
        cycle = _circle(graph, start, done, functions)
        if cycle:
            return cycle
    return None


def _targets(task: dict[str, Any], use: dict[str, Any], base: str) -> list[str]:
    inside = use.get("functions") or {}
    targets = []
    for call in called_functions(task):
        if call in inside:
            targets.append(call)
        elif is_function_address(call):
            try:
                targets.append(function_address(call, base))
            except AddressError:
                continue
    return targets


def _circle(
    graph: Mapping[str, list[str]], start: str, done: set[str], functions: Container[str]
) -> list[str] | None:
    path: list[str] = [start]
    turns = [iter(graph.get(start, ()))]
    while turns:
        following = next(turns[-1], None)
        if following is None:
            turns.pop()
            done.add(path.pop())
        elif following in path:
            circle = [*path[path.index(following) :], following]
            if any(name in functions for name in circle):
                return circle
        elif following not in done:
            path.append(following)
            turns.append(iter(graph.get(following, ())))
    return None
