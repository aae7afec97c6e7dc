"""How often a schema looks at the parts of a value: validation must not take exponential time.

A validator follows every path through a schema, and there can be a great many: alternatives made
of alternatives, or a recursion that is entered twice for the same part of a value. Almost all
schemas have few paths, recursive ones included if each part of a value is reached on one path
only; that is found out once. For the others the looks are counted before each validation, and too
many are an error.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from flunq.core.document.schema_graph import Graph, Label, overlap

FEW_PATHS = 1_000
MAX_LOOKS = 5_000_000
"""About a tenth of a second."""
MAX_PAIRS = 50_000
MAX_DEPTH = 200
MAX_STATES = 400
"""Parts of a recursion that are compared with each other."""


class TooCostlyError(Exception):
    """The schema would look at the value too often."""


class Cost:
    """The paths through one schema and the documents that it refers to."""

    def __init__(self, root: Any, uri: str, documents: dict[str, Any]) -> None:
        self._graph = Graph(root, uri, documents) if isinstance(root, dict) else None
        self.is_simple = self._graph is None or _Analysis(self._graph).is_simple()

    def check(self, value: Any) -> None:
        """Raise TooCostlyError if validating the value could take too long."""
        if self._graph is None or self.is_simple:
            return
        if _Counting(self._graph).looks(0, value, 0) > MAX_LOOKS:
            raise TooCostlyError("the schema would look at the value too many times")


class _Counting:
    """Counts the looks of one schema at one value."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.nodes
        self._known: dict[tuple[int, int], int] = {}

    def looks(self, number: int, value: Any, depth: int) -> int:
        key = (number, id(value))
        known = self._known.get(key)
        if known is not None:
            return known
        if depth > MAX_DEPTH or len(self._known) >= MAX_PAIRS:
            raise TooCostlyError("the value is too large or too deep for such a schema")
        self._known[key] = 1  # a validator does not go in circles at one place
        node = self._nodes[number]
        count = sum(self.looks(part, value, depth + 1) for part in node.same)
        count = 1 + (2 * count if node.repeats else count)
        for label, part in node.below:
            count += sum(self.looks(part, item, depth + 1) for item in _chosen(label, value))
        self._known[key] = count
        return count


def _chosen(label: Label, value: Any) -> list[Any]:
    """Return the parts of a value that an edge leads to, or more."""
    kind = label[0]
    if isinstance(value, dict):
        if kind == "member":
            return [value[label[1]]] if label[1] in value else []
        if kind == "name":
            return list(value)
        return list(value.values()) if kind in ("any", "rest") else []
    if isinstance(value, list):
        if kind == "item":
            return value[label[1] : label[1] + 1]
        return value if kind in ("after", "each") else []
    return []


class _Analysis:
    """Finds out whether few paths lead to each part of any value."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.nodes
        self._groups = _groups([[*n.same, *(to for _, to in n.below)] for n in graph.nodes])
        self._group_of = {n: i for i, group in enumerate(self._groups) for n in group}

    def is_simple(self) -> bool:
        return self._has_few_paths() and all(
            self._is_unambiguous(group) for group in self._groups if self._is_recursive(group[0])
        )

    def _edges(self, number: int) -> list[int]:
        node = self._nodes[number]
        same = node.same * 2 if node.repeats else node.same
        return [*same, *(to for _, to in node.below)]

    def _is_recursive(self, number: int) -> bool:
        group = self._groups[self._group_of[number]]
        return len(group) > 1 or number in self._edges(number)

    def _has_few_paths(self) -> bool:
        """Count the paths between recursions; no path may lead through two of them."""
        paths: list[int] = []
        recursions: list[int] = []
        for number, group in enumerate(self._groups):  # the innermost come first
            out = [self._group_of[to] for node in group for to in self._edges(node)]
            out = [to for to in out if to != number]
            paths.append(1 + sum(paths[to] for to in out))
            deepest = max((recursions[to] for to in out), default=0)
            recursions.append(deepest + self._is_recursive(group[0]))
            if paths[-1] > FEW_PATHS or recursions[-1] > 1:
                return False
        return True

    def _is_unambiguous(self, group: list[int]) -> bool:
        """Tell whether two ways through a recursion never meet for the same part of a value."""
        inside = set(group)
        if len(inside) > MAX_STATES or any(self._nodes[n].repeats for n in inside):
            return False
        steps = {n: self._steps(n, inside) for n in inside}
        if any(found is None for found in steps.values()):
            return False
        return not _meet({n: found for n, found in steps.items() if found is not None})

    def _steps(self, start: int, inside: set[int]) -> list[tuple[Label, int]] | None:
        """Return the edges out of a schema and those that look at the same value.

        None if such a schema is reached in two ways or contains itself.
        """
        seen = {start}
        found: list[tuple[Label, int]] = []
        stack = [start]
        while stack:
            node = self._nodes[stack.pop()]
            found += [(label, to) for label, to in node.below if to in inside]
            for to in node.same:
                if to not in inside:
                    continue
                if to in seen:
                    return None
                seen.add(to)
                stack.append(to)
        return found


def _meet(steps: dict[int, list[tuple[Label, int]]]) -> bool:
    """Tell whether two different ways with the same steps lead from one place to one place."""
    pending = [
        (one[1], other[1])
        for found in steps.values()
        for one, other in combinations(found, 2)
        if overlap(one[0], other[0])
    ]
    seen = set(pending)
    while pending:
        one, other = pending.pop()
        if one == other:
            return True
        for label, first in steps[one]:
            for against, second in steps[other]:
                pair = (first, second)
                if pair not in seen and overlap(label, against):
                    seen.add(pair)
                    pending.append(pair)
    return False


def _groups(edges: list[list[int]]) -> list[list[int]]:
    """Return the strongly connected parts of a graph, those that others lead to first."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    waiting: set[int] = set()
    groups: list[list[int]] = []
    for root in range(len(edges)):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        work = [(root, iter(edges[root]))]
        stack.append(root)
        waiting.add(root)
        while work:
            node, targets = work[-1]
            for to in targets:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    waiting.add(to)
                    work.append((to, iter(edges[to])))
                    break
                if to in waiting:
                    low[node] = min(low[node], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    groups.append(_taken(stack, waiting, node))
    return groups


def _taken(stack: list[int], waiting: set[int], node: int) -> list[int]:
    group: list[int] = []
    while True:
        member = stack.pop()
        waiting.discard(member)
        group.append(member)
        if member == node:
            return group
