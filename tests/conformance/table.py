"""The table of what is supported: made from the cases, not from a run of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.conformance.cases import all_cases, remarks
from tests.conformance.properties import all_properties

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {
    "call": "http openapi grpc asyncapi a2a mcp function".split(),
    "run": "container script shell workflow".split(),
}
"""Kinds of tasks that have a section of their own."""
INTRODUCTION = """\
# Conformance

Made by `just generate` from the cases in `tests/conformance/cases`, which are run by
`pytest tests/conformance`: {cases} cases for the {all} properties of Serverless Workflow DSL 1.0.3,
of which {yes} are supported, {idle} accepted without effect and {no} not supported, each with the
reason. The properties are those of the schema (each member, each value of an enumeration) and what
the specification says beyond it. Many are also tested elsewhere; only these cases count here. What
the specification leaves open is decided in [Decisions on the language](dsl-decisions.md).
"""


def ancestors(property: str) -> Iterator[str]:
    """Yield a property and those that it is a part of."""
    head, equals, _ = property.partition("=")
    if equals:
        yield property
    while head:
        yield head
        head = head.rpartition(".")[0]


def counted() -> tuple[Counter[str], dict[str, set[str]]]:
    """Return how many cases hold each property, and in which files they are."""
    counts: Counter[str] = Counter()
    files: defaultdict[str, set[str]] = defaultdict(set)
    for case in all_cases():
        for property in {each for held in case.properties for each in ancestors(held)}:
            counts[property] += 1
            files[property].add(case.file)
    return counts, files


def gaps() -> list[str]:
    """Return the properties that no case holds and of which nothing is said."""
    counts, _ = counted()
    return [each for each in all_properties() if not counts[each] and each not in remarks()]


def strangers() -> list[str]:
    """Return what cases and remarks call a property although the language has none such."""
    named = {each for case in all_cases() for each in case.properties} | set(remarks())
    return sorted(named - set(all_properties()))


def conformance_page() -> str:
    """Return the content of docs/conformance.md."""
    counts, files = counted()
    properties = all_properties()
    words = Counter(
        remarks().get(each, "yes").partition(" ")[0].rstrip(":,") for each in properties
    )
    figures = {"yes": words["yes"], "idle": words["accepted"], "no": words["no"]}
    parts = [INTRODUCTION.format(cases=len(all_cases()), all=len(properties), **figures)]
    for section, members in _sections(properties).items():
        parts += [f"\n## {section}\n", "| property | supported | cases | in |"]
        parts.append("| --- | --- | --- | --- |")
        parts += [_row(each, counts[each], sorted(files[each])) for each in members]
    return "\n".join(parts) + "\n"


def _sections(properties: dict[str, None]) -> dict[str, list[str]]:
    """Return the properties by the first part of their names, calls and runs by two."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for property in properties:
        first, _, rest = property.partition(".")
        second = rest.partition(".")[0]
        found[f"{first}.{second}" if second in KINDS.get(first, ()) else first].append(property)
    return found


def _row(property: str, count: int, files: list[str]) -> str:
    remark = remarks().get(property, "")
    supported = remark or "yes"
    places = ", ".join(f"`{name}`" for name in files)
    return f"| `{property}` | {supported} | {count or ''} | {places} |".replace("  |", " |")
