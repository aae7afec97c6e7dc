"""Compiles ``listen`` tasks: which events, and until when."""

from __future__ import annotations

from typing import Any

from flunq.core.document import policies
from flunq.core.document.model import (
    Attribute,
    Correlation,
    EventFilter,
    Listen,
    Program,
    Unsupported,
)

MODES = ("one", "any", "all")


def compile_listen(definition: dict[str, Any]) -> tuple[str, Any]:
    """Return the handler's name and the compiled task."""
    listen = definition["listen"]
    strategy = listen["to"]
    mode = next((mode for mode in MODES if mode in strategy), "one")
    until = strategy.get("until")
    if "foreach" in definition:
        return "unsupported", Unsupported(detail="listen.foreach is not supported by this version")
    if isinstance(until, dict) and "all" in until:
        detail = "listening until several events have come is not supported by this version"
        return "unsupported", Unsupported(detail=detail)
    return "listen", Listen(
        mode=mode,
        filters=_filters(strategy),
        read=listen.get("read", "data"),
        until=None if isinstance(until, dict) else policies.condition(until),
        until_filters=_filters(until) if isinstance(until, dict) else (),
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
