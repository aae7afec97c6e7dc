"""The cases: what they are, and how they are read from ``cases/*.yaml``.

A case has a name (``case``), the properties of the language that it holds (``holds``, one or a
list), a document and what must come of it:

- ``do`` or ``workflow``: the document, without its header;
- ``input``, ``secrets``, ``workflows`` (others that it runs), ``steps`` (what happens to it);
- ``output``, ``error`` (the members that are told), ``check`` (a jq condition, or several, on what
  :func:`tests.conformance.laboratory.observed` returns), ``valid: true``, ``invalid`` (the rule);
- or ``schedule`` with ``clock`` and ``fires``, ``hears`` and ``starts``.

A case with ``each`` is one case for each of its items, whose value stands where it says EACH; the
members of MORE are put beside it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from flunq.core.reading import read_source

FOLDER = Path(__file__).with_name("cases")


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case."""

    case: str
    holds: str | list[str]
    area: str = ""
    file: str = ""
    workflow: dict[str, Any] | None = None
    do: list[Any] | None = None
    use: dict[str, Any] | None = None
    input: Any = None
    secrets: dict[str, Any] = {}
    workflows: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    output: Any = msgspec.UNSET
    error: dict[str, Any] | None = None
    check: str | list[str] = []
    valid: bool = False
    invalid: str | None = None
    needs: str = ""
    """A tool without which the case is skipped."""
    schedule: dict[str, Any] | None = None
    clock: list[str] = []
    fires: list[list[str]] = []
    hears: list[dict[str, Any]] = []
    starts: list[list[Any]] = []

    @property
    def properties(self) -> list[str]:
        """The properties of the language that it holds."""
        return [self.holds] if isinstance(self.holds, str) else self.holds

    @property
    def checks(self) -> list[str]:
        """The conditions."""
        return [self.check] if isinstance(self.check, str) else self.check

    @property
    def members(self) -> dict[str, Any]:
        """The document, without its header."""
        if self.workflow is not None:
            return self.workflow
        use = {} if self.use is None else {"use": self.use}
        return {**use, "do": self.do or []}


@cache
def all_cases() -> tuple[Case, ...]:
    """Read all cases, in the order of their files."""
    found: list[Case] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        content = read_source(path.read_bytes(), name=path.name).value
        for template in content["cases"]:
            for value in _expanded(template):
                members = {**value, "area": content["area"], "file": path.name}
                found.append(msgspec.convert(members, Case))
    return tuple(found)


def _expanded(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a case for each item of ``each``, whose members stand for their names in capitals."""
    members = dict(template)
    items = members.pop("each", [{}])
    rows = [item if isinstance(item, dict) else {"EACH": item} for item in items]
    return [_filled(members, row) for row in rows]


def _filled(value: Any, row: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        more = row.get("MORE", {}) if "MORE" in value else {}
        kept = {key: member for key, member in value.items() if key != "MORE"}
        return {_filled(key, row): _filled(member, row) for key, member in kept.items()} | more
    if isinstance(value, list):
        return [_filled(item, row) for item in value]
    if not isinstance(value, str) or value in row:
        return row.get(value, value) if isinstance(value, str) else value
    for name, member in row.items():
        value = value.replace(name, str(member))
    return value


@cache
def remarks() -> dict[str, str]:
    """Return what is to be said of properties that are not held, or not to the last."""
    path = Path(__file__).with_name("remarks.yaml")
    found: dict[str, str] = read_source(path.read_bytes(), name=path.name).value
    return found
