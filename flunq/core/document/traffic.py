"""Compiles what metadata say about traffic: limits, breakers, priorities."""

from __future__ import annotations

from typing import Any

from flunq.core.document import policies
from flunq.core.document.model import KeyedLimit, TrafficSpec
from flunq.core.traffic import (
    DEFAULT_PRIORITY,
    MOST_LIMITS,
    LimitAsk,
    TrafficError,
    TrafficRules,
    limit_key,
    traffic_of,
)

DOCUMENT_METADATA = "/document/metadata"


def compile_traffic(document: dict[str, Any], definition: dict[str, Any]) -> TrafficSpec | None:
    """Return what a task and its workflow say; None if they say nothing."""
    own, whole = definition.get("metadata"), document.get("metadata")
    if own is None and whole is None:
        return None
    mine, all_ = _lenient(own), _lenient(whole)
    if not mine and not all_:
        return None
    rules = (*mine.limits, *all_.limits)[:MOST_LIMITS]
    priorities = (mine.priority, all_.priority, DEFAULT_PRIORITY)
    return TrafficSpec(
        priority=next(each for each in priorities if each is not None),
        limits=tuple(KeyedLimit(rule, policies.template(rule.key)) for rule in rules),
        breaker=mine.breaker or all_.breaker,
    )


def ask_for(limit: KeyedLimit, key: Any, workflow: str, reference: str) -> LimitAsk:
    """Return what one dispatch asks for, once its key is known."""
    rate = limit.rule.rate
    return LimitAsk(
        key=limit_key(limit.rule.scope, key, workflow, reference),
        count=0 if rate is None else rate.count,
        per=0 if rate is None else rate.per,
        concurrency=limit.rule.concurrency,
    )


def _lenient(metadata: Any) -> TrafficRules:
    """Read metadata of a document that may be older than their meaning."""
    try:
        return traffic_of(metadata, DOCUMENT_METADATA)
    except TrafficError:
        return TrafficRules()
