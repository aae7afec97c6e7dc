"""The ways through a workflow's definition, from task to task, as a drawing shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.document.needs import graph_of, named_branches
from flunq.core.document.outline import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BEGIN, END = "begin", "end"
Way = tuple[str, str]
"""Where a way comes from, and its label."""


class Edge(msgspec.Struct, frozen=True):
    """A way from one task to another, by their references."""

    source: str
    target: str
    label: str = ""


def edges(document: Mapping[str, Any]) -> list[Edge]:
    """Return the ways through a document, from ``begin`` to ``end``."""
    drawing = _Drawing()
    drawing.arrive(drawing.sequence(document.get("do"), "/do", [(BEGIN, "")]), END)
    return drawing.edges


class _Drawing:
    """Collects the edges; each method returns the ways that lead out of what it draws."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []

    def arrive(self, ways: Iterable[Way], target: str) -> None:
        """Let ways end at a task."""
        for source, label in ways:
            edge = Edge(source, target, label)
            if edge not in self.edges:
                self.edges.append(edge)

    def sequence(self, items: Any, pointer: str, ways: list[Way]) -> list[Way]:
        """Draw tasks one after the other."""
        tasks = _tasks(items, pointer)
        targets = {name: reference for name, reference, _ in reversed(tasks)}
        leaving: list[Way] = []
        for _, reference, task in tasks:
            self.arrive(ways, reference)
            ways = []
            for way, then in self._ways_out(task, reference):
                if then == "end":
                    self.arrive([way], END)
                elif then == "exit":
                    leaving.append(way)
                elif then in targets:
                    self.arrive([way], targets[then])
                else:
                    ways.append(way)
        return [*leaving, *ways]

    def _ways_out(self, task: dict[str, Any], reference: str) -> list[tuple[Way, str]]:
        """Return the ways out of a task, and where each is told to go."""
        if kind_of(task) == "switch":
            return list(_cases(task["switch"], reference))
        then = str(task.get("then", "continue"))
        return [(way, then) for way in self._inside(task, reference)]

    def _inside(self, task: dict[str, Any], reference: str) -> list[Way]:
        kind, enter = kind_of(task), [(reference, "")]
        if kind == "do":
            return self.sequence(task["do"], f"{reference}/do", enter)
        if kind == "fork":
            return self._fork(task["fork"], reference)
        if kind == "try":
            return self._try(task, reference)
        if kind == "for":
            return self._loop(task.get("do"), f"{reference}/do", reference)
        if kind == "listen" and isinstance(task.get("foreach"), dict):
            return self._loop(task["foreach"].get("do"), f"{reference}/foreach/do", reference)
        return enter

    def _loop(self, items: Any, pointer: str, reference: str) -> list[Way]:
        back = self.sequence(items, pointer, [(reference, "each")])
        self.arrive([way for way in back if way[0] != reference], reference)
        return [(reference, "done")]

    def _try(self, task: dict[str, Any], reference: str) -> list[Way]:
        ways = self.sequence(task["try"], f"{reference}/try", [(reference, "")])
        catch = task.get("catch")
        if isinstance(catch, dict) and catch.get("do"):
            caught = f"{reference}/catch"
            self.arrive([(reference, "error")], caught)
            ways += self.sequence(catch["do"], f"{caught}/do", [(caught, "")])
        return ways

    def _fork(self, fork: Any, reference: str) -> list[Way]:
        """Draw branches; those that need others come after them."""
        branches = fork.get("branches") if isinstance(fork, dict) else None
        tasks = _tasks(branches, f"{reference}/fork/branches")
        graph = graph_of(branches)
        if len(graph) != len(tasks) or len(tasks) != len(named_branches(branches)):
            graph = tuple(() for _ in tasks)
        ends: list[list[Way]] = []
        for _, place, task in tasks:
            ends.append(self._inside(task, place))
        for (_, place, _), needs in zip(tasks, graph, strict=True):
            ways = [way for needed in needs for way in ends[needed]]
            self.arrive(ways or [(reference, "")], place)
        needed = {branch for needs in graph for branch in needs}
        out = [way for branch, ways in enumerate(ends) if branch not in needed for way in ways]
        return out or [(reference, "")]


def _tasks(items: Any, pointer: str) -> list[tuple[str, str, dict[str, Any]]]:
    found: list[tuple[str, str, dict[str, Any]]] = []
    for index, item in enumerate(items if isinstance(items, list) else []):
        for name, task in item.items() if isinstance(item, dict) else ():
            if isinstance(task, dict):
                text = str(name).replace("~", "~0").replace("/", "~1")
                found.append((str(name), f"{pointer}/{index}/{text}", task))
    return found


def _cases(cases: Any, reference: str) -> Iterable[tuple[Way, str]]:
    """Yield the ways of a switch; without a default case there is one past all of them."""
    default = False
    for name, case in named_branches(cases):
        if isinstance(case, dict):
            default = default or "when" not in case
            yield (reference, str(name)), str(case.get("then", "continue"))
    if not default:
        yield (reference, "otherwise"), "continue"
