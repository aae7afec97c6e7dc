"""Branches of a ``fork`` that need the outputs of others: a graph.

A branch says in its ``metadata.needs`` which branches have to complete before it begins. Metadata
are free, so what is no such list of names means nothing to the engine; ``validate`` complains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Needs = tuple[tuple[int, ...], ...]
"""For each branch the indexes of those that it needs."""


def named_branches(branches: Any) -> list[tuple[str, Any]]:
    """Return the branches of a fork with their names."""
    items = branches if isinstance(branches, list) else []
    return [(name, task) for item in items if isinstance(item, dict) for name, task in item.items()]


def needs_of(task: Any) -> Any:
    """Return what a branch says it needs; None if it says nothing."""
    metadata = task.get("metadata") if isinstance(task, dict) else None
    return metadata.get("needs") if isinstance(metadata, dict) else None


def graph_of(branches: Any) -> Needs:
    """Return the graph of a fork's branches; empty if there is none, or none that can be run."""
    named = named_branches(branches)
    index = {name: number for number, (name, _) in enumerate(named)}
    found: list[tuple[int, ...]] = []
    for _, task in named:
        needs = needs_of(task)
        if needs is None:
            needs = []
        if not isinstance(needs, list) or any(not _is_known(name, index) for name in needs):
            return ()
        found.append(tuple(dict.fromkeys(index[name] for name in needs)))
    if not any(found) or cycle_in(found):
        return ()
    return tuple(found)


def _is_known(name: Any, index: Mapping[str, int]) -> bool:
    return isinstance(name, str) and name in index


def cycle_in(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return a way from a branch back to itself; empty if there is none."""
    left = dict(enumerate(needs))
    while left:
        free = [branch for branch, wanted in left.items() if not any(n in left for n in wanted)]
        if not free:
            return _way_round(left)
        for branch in free:
            del left[branch]
    return []


def _way_round(left: Mapping[int, Sequence[int]]) -> list[int]:
    """Every branch that is left needs another one that is: following them ends in a circle."""
    way: list[int] = []
    branch = min(left)
    while branch not in way:
        way.append(branch)
        branch = next(each for each in left[branch] if each in left)
    return [*way[way.index(branch) :], branch]
