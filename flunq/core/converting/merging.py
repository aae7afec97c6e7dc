"""Expressions that merge: the old language adds results to its state data, the new one replaces.

Objects are merged member by member, arrays are joined without repeating what is there, anything
else is replaced. A result without a place of its own goes to the top, if it is an object; other
results have nowhere to go there and leave the state data as it is.
"""

from __future__ import annotations

MERGE = (
    "def merge($old; $new): [$old, $new | type] as $types"
    ' | if $types == ["object", "object"]'
    " then $old + ($new | with_entries(.value = merge($old[.key]; .value)))"
    ' elif $types == ["array", "array"] then $old + ($new - $old)'
    " else $new end;\n"
)
CHANGED = (
    'def changed($old; $new): if [$old, $new | type] == ["object", "object"]'
    " then $new | with_entries(select(.value != $old[.key])"
    " | .value = changed($old[.key]; .value)) else $new end;\n"
)
_DATA = "$task.input"
"""State data, where a task's output is made: what came into the task."""


def step(found: str, to: str = "") -> str:
    """Return a filter from state data to state data with ``found`` added, at a place or at the top.

    ``found`` must not read its input, for that is the state data.
    """
    if to:
        return f"({to}) |= merge(.; {found})"
    return f"merge(.; {found} | objects // {{}})"


def add(result: str = "", to: str = "") -> str:
    """Return the output of a task whose result is added to the state data."""
    if to:
        return f"{MERGE}{_bound(result)} as $result | {_DATA} | {step('$result', to)}"
    found = f"{_bound(result)} | objects // {{}}" if result else "objects // {}"
    return f"{MERGE}merge({_DATA}; {found})"


def with_events(events: str, data: str, steps: list[str]) -> str:
    """Return state data with the data of events added by steps, which see ``$events``."""
    if not steps:
        return data
    return f"{MERGE}{events} as $events | {' | '.join([data, *steps])}"


def join_branches() -> str:
    """Return the output of a fork whose branches each changed their own copy of the state data."""
    return f"{MERGE}{CHANGED}reduce .[] as $branch ({_DATA}; merge(.; changed({_DATA}; $branch)))"


def changes() -> str:
    """Return what the tasks of a group have changed in their input."""
    return f"{CHANGED}changed($input; .)"


def _bound(expression: str) -> str:
    return f"({expression})" if expression else "."
