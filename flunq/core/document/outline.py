"""A workflow's definition as an outline: its tasks from top to bottom, and where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.document.needs import needs_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KINDS = (
    "call",
    "do",
    "emit",
    "for",
    "fork",
    "listen",
    "raise",
    "run",
    "set",
    "switch",
    "try",
    "wait",
)


class Node(msgspec.Struct, frozen=True):
    """One task of the definition."""

    reference: str
    depth: int
    name: str
    kind: str
    note: str = ""
    """What it does, in a few words."""
    goes: str = ""
    """Where it goes on if that is not the next one."""
    needs: tuple[str, ...] = ()
    """Of a branch: the branches that have to complete before it begins."""


def nodes(document: Mapping[str, Any]) -> list[Node]:
    """Return the tasks of a document, from the top to the bottom."""
    return list(_tasks(document.get("do"), "/do", 0))


def _tasks(items: Any, pointer: str, depth: int) -> Iterator[Node]:
    for index, item in enumerate(_list(items)):
        if not isinstance(item, dict):
            continue
        for name, task in item.items():
            reference = f"{pointer}/{index}/{str(name).replace('~', '~0').replace('/', '~1')}"
            if isinstance(task, dict):
                yield from _task(task, reference, str(name), depth)


def _task(task: dict[str, Any], reference: str, name: str, depth: int) -> Iterator[Node]:
    kind = kind_of(task)
    then = task.get("then")
    goes = str(then) if then not in (None, "continue") else ""
    yield Node(reference, depth, name, kind, _note(task, kind), goes, _needs(task, reference))
    if kind == "switch":
        yield from _cases(task["switch"], reference, depth + 1)
    elif kind == "fork":
        branches = task["fork"].get("branches") if isinstance(task["fork"], dict) else None
        yield from _tasks(branches, f"{reference}/fork/branches", depth + 1)
    elif kind == "try":
        yield from _tasks(task["try"], f"{reference}/try", depth + 1)
        catch = task.get("catch")
        if isinstance(catch, dict) and catch.get("do"):
            yield Node(f"{reference}/catch", depth, "catch", "catch", str(catch.get("as", "error")))
            yield from _tasks(catch["do"], f"{reference}/catch/do", depth + 1)
    elif kind == "for":
        yield from _tasks(task.get("do"), f"{reference}/do", depth + 1)
    elif kind == "do":
        yield from _tasks(task["do"], f"{reference}/do", depth + 1)
    elif kind == "listen" and isinstance(task.get("foreach"), dict):
        yield from _tasks(task["foreach"].get("do"), f"{reference}/foreach/do", depth + 1)


def _needs(task: dict[str, Any], reference: str) -> tuple[str, ...]:
    """Return what a branch of a fork needs; the metadata of other tasks mean nothing."""
    is_branch = reference.rsplit("/", 2)[0].endswith("/fork/branches")
    needs = needs_of(task) if is_branch else None
    return tuple(name for name in _list(needs) if isinstance(name, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def kind_of(task: Mapping[str, Any]) -> str:
    """Return which kind of task it is; a loop has a ``do`` of its own."""
    if "for" in task:
        return "for"
    return next((kind for kind in _KINDS if kind in task), "?")


def _cases(cases: Any, reference: str, depth: int) -> Iterator[Node]:
    for index, item in enumerate(_list(cases)):
        for name, case in item.items() if isinstance(item, dict) else ():
            if isinstance(case, dict):
                pointer = f"{reference}/switch/{index}/{name}"
                goes = str(case.get("then", "continue"))
                yield Node(pointer, depth, str(name), "case", str(case.get("when", "")), goes)


def _note(task: Mapping[str, Any], kind: str) -> str:
    value = task.get(kind)
    if kind == "call":
        return _call(task)
    if kind == "for" and isinstance(value, dict):
        return f"{value.get('each', 'item')} in {value.get('in', '')}"
    if kind == "wait" and isinstance(value, dict):
        return " ".join(f"{amount} {unit}" for unit, amount in value.items())
    if kind == "listen" and isinstance(value, dict):
        return ", ".join(event_types(task)) or "any event"
    if kind == "run" and isinstance(value, dict):
        return next(iter(value), "")
    if kind == "raise" and isinstance(value, dict):
        error = value.get("error")
        return (
            str(error.get("title") or error.get("type", ""))
            if isinstance(error, dict)
            else str(error)
        )
    return str(task["if"]) if "if" in task else ""


def _call(task: Mapping[str, Any]) -> str:
    name, given = str(task["call"]), task.get("with")
    if name != "http" or not isinstance(given, dict):
        return name
    endpoint = given.get("endpoint")
    uri = endpoint.get("uri", "") if isinstance(endpoint, dict) else endpoint
    return f"{str(given.get('method', 'get')).upper()} {uri}"


def event_types(task: Mapping[str, Any]) -> list[str]:
    """Return the types of the events that a ``listen`` task waits for."""
    listen = task.get("listen")
    to = listen.get("to") if isinstance(listen, dict) else None
    if not isinstance(to, dict):
        return []
    found: list[str] = []
    for mode in ("one", "any", "all"):
        filters = to.get(mode)
        for each in filters if isinstance(filters, list) else [filters]:
            attributes = each.get("with") if isinstance(each, dict) else None
            if isinstance(attributes, dict) and "type" in attributes:
                found.append(str(attributes["type"]))
    return found
