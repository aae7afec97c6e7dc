"""How fast tasks may be begun: limits, breakers and priorities, as metadata say it.

A workflow says it for all its tasks, a task for itself::

    document:
      metadata:
        priority: 7
        limits:
          - {key: "${ .customer }", rate: 10/1s, concurrency: 5}
          - {key: payments, concurrency: 20, scope: tenant}
        breaker: {after: 5, within: PT10S, pause: PT5S, then: hold}

What stands here reaches the executors with each dispatch.
"""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from flunq.core.duration import DurationError, parse_duration

DEFAULT_PRIORITY = 5
PRIORITY_ATTRIBUTE = "flunqpriority"
"""The attribute of a CloudEvent that says the priority of what it starts."""
HIGHEST_PRIORITY = 9
PRIORITIES = {"high": 8, "normal": DEFAULT_PRIORITY, "low": 2}
MOST_LIMITS = 8
"""Limits that one task can have, those of its workflow included."""
MOST = 1_000_000
"""The largest rate or concurrency."""
LONGEST_KEY = 200
SCOPES = ("workflow", "task", "tenant")
_RATE = re.compile(r"(\d{1,7})\s*/\s*(.{1,40})")
_SHORT = re.compile(r"(\d{1,6})?\s*(ms|s|m|h|d)")
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_LIMIT_KEYS = ("key", "rate", "concurrency", "scope")
_BREAKER_KEYS = ("after", "within", "pause", "then")
_WORDS = ("hold", "fail", "off")

Scope = Literal["workflow", "task", "tenant"]
Then = Literal["hold", "fail", "off"]


class TrafficError(ValueError):
    """Metadata about traffic that cannot be used; ``pointer`` says where it stands."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class Rate(msgspec.Struct, frozen=True):
    """So many in a time."""

    count: int
    per: int
    """Microseconds."""


class LimitRule(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as it is written."""

    key: Any
    """A constant or an expression."""
    scope: Scope = "workflow"
    rate: Rate | None = None
    concurrency: int = 0
    """0: as many as there are slots."""


class LimitAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit that one dispatch is under; its key is unique in the tenant."""

    key: str
    count: int = 0
    per: int = 0
    concurrency: int = 0


class Breaker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a target counts as broken, and what becomes of its tasks meanwhile."""

    after: int = 20
    within: int = 10_000_000
    pause: int = 5_000_000
    then: Then = "hold"


class Traffic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a dispatch says about traffic."""

    priority: int = DEFAULT_PRIORITY
    limits: tuple[LimitAsk, ...] = ()
    breaker: Breaker | None = None


class TrafficRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the metadata of a workflow or of a task say."""

    priority: int | None = None
    limits: tuple[LimitRule, ...] = ()
    breaker: Breaker | None = None

    def __bool__(self) -> bool:
        return bool(self.limits) or self.priority is not None or self.breaker is not None


def traffic_of(metadata: Any, where: str) -> TrafficRules:
    """Return what metadata say about traffic; raises TrafficError."""
    if not isinstance(metadata, dict):
        return TrafficRules()
    return TrafficRules(
        priority=_priority(metadata.get("priority"), f"{where}/priority"),
        limits=_limits(metadata.get("limits"), f"{where}/limits"),
        breaker=_breaker(metadata.get("breaker"), f"{where}/breaker"),
    )


def priority_of(value: Any, where: str = "") -> int:
    """Read a priority: a number or a word; raises TrafficError."""
    text = value.strip().lower() if isinstance(value, str) else ""
    found = int(text) if text.isascii() and text.isdecimal() else PRIORITIES.get(text, value)
    if not _is_number(found, 0, HIGHEST_PRIORITY):
        words = ", ".join(PRIORITIES)
        what = f"priority is {words} or a number from 0 to {HIGHEST_PRIORITY}"
        raise TrafficError(where, what)
    return int(found)


def priority_of_events(events: Any) -> int | None:
    """Return the highest priority that events ask for the execution that they start, if any."""
    found: list[int] = []
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict) and PRIORITY_ATTRIBUTE in event:
            with suppress(TrafficError):  # an attribute of somebody else's that has this name
                found.append(priority_of(event[PRIORITY_ATTRIBUTE]))
    return max(found, default=None)


def parse_rate(text: Any, where: str = "") -> Rate:
    """Read a rate such as ``10/1s``, ``100/m`` or ``5/PT1H``; raises TrafficError."""
    match = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    per = _length(match[2].strip()) if match is not None else 0
    count = int(match[1]) if match is not None else 0
    if not (1 <= count <= MOST and per > 0):
        raise TrafficError(where, "rate is a number per time, such as 10/1s, 100/m or 5/PT1H")
    return Rate(count, per)


def rate_text(count: int, per: int) -> str:
    """Return a rate as people write it."""
    for unit, length in reversed(_UNITS.items()):
        if per % length == 0:
            return f"{count}/{per // length}{unit}"
    return f"{count}/{per}us"


def limit_key(scope: Scope, key: Any, workflow: str, reference: str) -> str:
    """Return the name under which a limit is counted in the tenant."""
    text = key if isinstance(key, str) else msgspec.json.encode(key).decode()
    if len(text) > LONGEST_KEY:
        text = text[:100] + "#" + blake2b(text.encode(), digest_size=12).hexdigest()
    if scope == "tenant":
        return text
    return f"{workflow}|{text}" if scope == "workflow" else f"{workflow}{reference}|{text}"


def _length(text: str) -> int:
    match = _SHORT.fullmatch(text)
    if match is not None:
        return int(match[1] or 1) * _UNITS[match[2]]
    try:
        return parse_duration(text).approximate()
    except DurationError:
        return 0


def _priority(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if not _is_number(value, 0, HIGHEST_PRIORITY):
        raise TrafficError(where, f"priority is a number from 0 to {HIGHEST_PRIORITY}")
    return int(value)


def _limits(value: Any, where: str) -> tuple[LimitRule, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST_LIMITS:
        raise TrafficError(where, f"limits is a list of at most {MOST_LIMITS} limits")
    return tuple(_limit(item, f"{where}/{index}") for index, item in enumerate(value))


def _limit(value: Any, where: str) -> LimitRule:
    if not isinstance(value, dict):
        raise TrafficError(where, "a limit is an object with key, rate, concurrency and scope")
    _check_names(value, _LIMIT_KEYS, where, "a limit")
    key, scope, most = value.get("key"), value.get("scope", "workflow"), value.get("concurrency")
    if key is None or key == "":
        raise TrafficError(f"{where}/key", "a limit needs a key: a text or an expression")
    if scope not in SCOPES:
        raise TrafficError(f"{where}/scope", f"scope is one of {', '.join(SCOPES)}")
    if most is not None and not _is_number(most, 1, MOST):
        raise TrafficError(f"{where}/concurrency", f"concurrency is a number from 1 to {MOST}")
    rate = value.get("rate")
    return LimitRule(
        key=key,
        scope=scope,
        rate=None if rate is None else parse_rate(rate, f"{where}/rate"),
        concurrency=most or 0,
    )


def _breaker(value: Any, where: str) -> Breaker | None:
    if value is None:
        return None
    if value is False or value in _WORDS:  # YAML 1.1 reads a bare off as false
        return Breaker(then=value or "off")
    if not isinstance(value, dict):
        raise TrafficError(where, "breaker is hold, fail, off or an object with after and within")
    _check_names(value, _BREAKER_KEYS, where, "breaker")
    normal = Breaker()
    after, then = value.get("after", normal.after), value.get("then", normal.then)
    if not _is_number(after, 1, MOST):
        raise TrafficError(f"{where}/after", f"after is a number from 1 to {MOST}")
    if then not in _WORDS:
        raise TrafficError(f"{where}/then", f"then is one of {', '.join(_WORDS)}")
    within = _time(value.get("within"), normal.within, f"{where}/within")
    pause = _time(value.get("pause"), normal.pause, f"{where}/pause")
    return Breaker(after=after, within=within, pause=pause, then=then)


def _time(value: Any, otherwise: int, where: str) -> int:
    if value is None:
        return otherwise
    try:
        length = parse_duration(value).approximate()
    except DurationError as error:
        raise TrafficError(where, str(error)) from None
    if length <= 0:
        raise TrafficError(where, "the time must be longer than nothing")
    return length


def _check_names(value: dict[str, Any], known: tuple[str, ...], where: str, what: str) -> None:
    for name in value:
        if name not in known:
            raise TrafficError(
                f"{where}/{name}", f"{what} has no {name!r}; it has {', '.join(known)}"
            )


def _is_number(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
