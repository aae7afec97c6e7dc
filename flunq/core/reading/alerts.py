"""Reading alert rules: text in, rules or everything that is wrong with them out."""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.alerts import AlertRule
from flunq.core.duration import DurationError, parse_duration
from flunq.core.expressions import ExpressionSyntaxError, compile_runtime
from flunq.core.reading.explain import explain
from flunq.core.reading.limits import MAX_PROBLEMS
from flunq.core.reading.problems import InvalidDocument, quoted
from flunq.core.reading.source import Source, read_source
from flunq.resources import load_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.reading.problems import Problem

_LENGTHS = ("every", "within", "for", "cooldown")
_SHORTEST = {"every": 1_000_000, "within": 1_000_000}
_OF_QUERIES = ("every",)
_OF_EVENTS = ("when", "count", "within")


class AlertFile(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one text, and where each stands."""

    source: Source
    rules: list[AlertRule]

    def problem(self, name: str, message: str, *, hint: str | None = None) -> Problem:
        """Return what the cluster says of a rule as a problem at its place."""
        index = next(i for i, rule in enumerate(self.rules) if rule.name == name)
        member = "query" if self.rules[index].query else "when"
        pointer = f"/alerts/{index}/{member}"
        return self.source.problem(pointer, message, "alert-rule", hint=hint)


def read_alerts(text: str | bytes, *, name: str) -> AlertFile:
    """Read rules; raise :class:`InvalidDocument` with everything that is wrong."""
    source = read_source(text, name=name)
    problems = _structure(source) or list(_problems(source))
    if problems:
        raise InvalidDocument(problems, name=name)
    return AlertFile(source=source, rules=[_rule(each) for each in source.value["alerts"]])


def _structure(source: Source) -> list[Problem]:
    found = list(islice(_validator().iter_errors(source.value), MAX_PROBLEMS))
    return explain(source, found)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    from flunq.core.reading import keywords as own

    validator: Any = extend(Draft202012Validator, {"pattern": own.pattern})  # type: ignore[no-untyped-call]
    return validator(load_schema("alerts"))


def _problems(source: Source) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for index, rule in enumerate(source.value["alerts"]):
        pointer = f"/alerts/{index}"
        line, _ = source.position(f"{pointer}/name")
        if rule["name"] in lines:
            message = f"{quoted(rule['name'])} is already defined on line {lines[rule['name']]}"
            yield source.problem(f"{pointer}/name", message, "duplicate-alert-name")
        lines.setdefault(rule["name"], line)
        yield from _kind_problems(source, rule, pointer)
        yield from _length_problems(source, rule, pointer)
        yield from _condition_problems(source, rule, pointer)


def _kind_problems(source: Source, rule: dict[str, Any], pointer: str) -> Iterator[Problem]:
    if ("query" in rule) == ("on" in rule):
        message = "a rule has a query, or says with 'on' which events it is about"
        yield source.problem(pointer, message, "alert-kind")
        return
    strange, own = (_OF_EVENTS, "query") if "query" in rule else (_OF_QUERIES, "on")
    for member in strange:
        if member in rule:
            message = f"{quoted(member)} means nothing in a rule with {quoted(own)}"
            yield source.problem(f"{pointer}/{member}", message, "alert-kind", key=True)


def _length_problems(source: Source, rule: dict[str, Any], pointer: str) -> Iterator[Problem]:
    for member in _LENGTHS:
        if member not in rule:
            continue
        try:
            length = parse_duration(rule[member]).approximate()
        except DurationError as error:
            yield source.problem(f"{pointer}/{member}", str(error), "duration")
            continue
        if length < _SHORTEST.get(member, 0):
            message = f"{quoted(member)} is at least a second"
            yield source.problem(f"{pointer}/{member}", message, "duration")


def _condition_problems(source: Source, rule: dict[str, Any], pointer: str) -> Iterator[Problem]:
    if "when" not in rule:
        return
    where = f"{pointer}/when"
    try:
        program = compile_runtime(rule["when"])
    except ExpressionSyntaxError as error:
        line, column = source.text_position(where, error.offset)
        found = source.problem(where, f"not a valid expression: {error}", "expression-syntax")
        yield msgspec.structs.replace(found, line=line, column=column)
        return
    for name in sorted(program.variables):
        yield source.problem(
            where, f"unknown variable ${name}", "unknown-variable", hint="the event is ."
        )


def _rule(value: dict[str, Any]) -> AlertRule:
    lengths = {
        name: parse_duration(value[name]).approximate() for name in _LENGTHS if name in value
    }
    return msgspec.convert({**value, **lengths}, AlertRule)
