"""Compiles ``listen`` tasks: which events, and until when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from flunq.core.document import policies
from flunq.core.document.model import (
    Attribute,
    Correlation,
    DataStage,
    EventFilter,
    Iterator,
    Listen,
    Program,
)

Stage: TypeAlias = Callable[[Any, str], DataStage]

MODES = ("one", "any", "all")


def compile_listen(definition: dict[str, Any], first: str, stage: Stage = policies.stage) -> Listen:
    """Return the compiled task; ``first`` is the first task of its ``foreach``."""
    listen = definition["listen"]
    strategy = listen["to"]
    until = strategy.get("until") if "any" in strategy else None
    filters = _filters(strategy)
    until_filters = _filters(until) if isinstance(until, dict) else ()
    expectations = _expectations((*filters, *until_filters))
    return Listen(
        mode=_mode(strategy),
        filters=_agreeing(filters, expectations),
        read=listen.get("read", "data"),
        until=None if isinstance(until, dict) else policies.condition(until),
        until_filters=_agreeing(until_filters, expectations),
        until_mode=_mode(until) if isinstance(until, dict) else "one",
        foreach=compile_iterator(definition.get("foreach"), first, stage),
    )


def _mode(strategy: dict[str, Any]) -> str:
    return next((mode for mode in MODES if mode in strategy), "one")


def compile_iterator(foreach: Any, first: str, stage: Stage) -> Iterator | None:
    """Compile a ``foreach``; ``first`` is the first of its tasks."""
    if foreach is None:
        return None
    return Iterator(
        item=foreach.get("item", "item"),
        at=foreach.get("at", "index"),
        first=first,
        output=stage(foreach.get("output"), "as"),
        export=stage(foreach.get("export"), "as"),
    )


def _filters(strategy: dict[str, Any]) -> tuple[EventFilter, ...]:
    if "one" in strategy:
        return (_filter(strategy["one"]),)
    entries = strategy.get("any", strategy.get("all")) or []
    return tuple(_filter(entry) for entry in entries)


def _filter(entry: Any) -> EventFilter:
    wanted = (entry or {}).get("with") or {}
    correlate = (entry or {}).get("correlate") or {}
    attributes = tuple(
        Attribute(name=name, value=value, condition=_condition(value))
        for name, value in wanted.items()
    )
    return EventFilter(
        attributes=attributes,
        correlations=tuple(_correlation(key, value) for key, value in correlate.items()),
    )


def _expectations(filters: tuple[EventFilter, ...]) -> dict[str, Program]:
    """Return what is expected of each key by the first filter that says so."""
    found: dict[str, Program] = {}
    for one in filters:
        for correlation in one.correlations:
            if correlation.expected is not None:
                found.setdefault(correlation.key, correlation.expected)
    return found


def _agreeing(
    filters: tuple[EventFilter, ...], expectations: dict[str, Program]
) -> tuple[EventFilter, ...]:
    """Let what one filter expects of a key hold for the others, whichever event comes first."""
    return tuple(
        msgspec.structs.replace(
            one,
            correlations=tuple(_expecting(each, expectations) for each in one.correlations),
        )
        for one in filters
    )


def _expecting(correlation: Correlation, expectations: dict[str, Program]) -> Correlation:
    if correlation.expected is not None:
        return correlation
    return correlation._replace(expected=expectations.get(correlation.key))


def _condition(value: Any) -> Program | None:
    is_expression = isinstance(value, str) and value.strip().startswith("${")
    return policies.condition(value) if is_expression else None


def _correlation(key: str, value: dict[str, Any]) -> Correlation:
    expected = value.get("expect")
    return Correlation(
        key=key,
        value=policies.condition(value["from"]) or policies.Broken("from is empty"),
        expected=None if expected is None else policies.template(expected),
    )
