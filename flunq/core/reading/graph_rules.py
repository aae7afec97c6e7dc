"""The rules of a fork whose branches need each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document.needs import cycle_in, named_branches, needs_of
from flunq.core.reading.explain import shown
from flunq.core.reading.pointers import child
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flunq.core.reading.visit import Visit


def check_branches(visit: Visit, fork: dict[str, Any], pointer: str) -> None:
    """Check ``metadata.needs`` of the branches of a fork."""
    branches = fork.get("branches")
    named = named_branches(branches)
    index = {name: number for number, (name, _) in enumerate(named)}
    said = [(where, needs_of(task)) for where, task in _places(branches, f"{pointer}/branches")]
    if not any(needs is not None for _, needs in said):
        return
    graph = [_checked(visit, needs, where, index) for where, needs in said]
    if fork.get("compete"):
        where = next(where for where, needs in said if needs is not None)
        message = "branches that compete cannot need each other"
        visit.complain(where, message, "fork-needs", key=True, hint="leave out compete or needs")
        return
    names = list(index)
    way = cycle_in(graph) if len(names) == len(graph) else []
    if way:
        where = said[way[0]][0]
        path = " -> ".join(names[branch] for branch in way)
        visit.complain(where, f"these branches need each other: {path}", "fork-cycle", key=True)


def _places(branches: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    items = branches if isinstance(branches, list) else []
    for number, item in enumerate(items):
        for name, task in item.items() if isinstance(item, dict) else ():
            yield f"{child(child(pointer, number), name)}/metadata/needs", task


def _checked(visit: Visit, needs: Any, where: str, index: Mapping[str, int]) -> list[int]:
    """Return the branches that one needs, reporting what is no branch."""
    if needs is None:
        return []
    if not isinstance(needs, list):
        hint = "such as needs: [fetch, check]"
        visit.complain(where, "'needs' is a list of branches", "fork-needs", hint=hint)
        return []
    found: list[int] = []
    for number, name in enumerate(needs):
        if isinstance(name, str) and name in index:
            found.append(index[name])
            continue
        meant = visit.suggestion(str(name), index)
        known = f"the branches are {', '.join(map(quoted, list(index)[:12]))}"
        message = f"there is no branch {shown(str(name))} in this fork{meant}"
        place = child(where, number)
        visit.complain(place, message, "fork-needs", hint=None if meant else known)
    return found
