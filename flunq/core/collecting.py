"""Workflows that collect their starts: several become one execution.

A workflow says it in its metadata, one of::

    document:
      metadata:
        start: {debounce: {key: "${ .customer }", for: PT5S, max: PT1M}}
        start: {batch: {key: "${ .customer }", for: PT2S, size: 100}}

Starts with the same key are a *group*. Of a debounced one the execution begins with the newest
input once no start came ``for`` that long, or ``max`` after the first; of a batch with the list of
all inputs, ``for`` that long after the first, or once there are ``size``.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from flunq.core.duration import DurationError, parse_duration
from flunq.core.execution.gathering import MOST_COLLECTED
from flunq.core.expressions import (
    EMPTY,
    Expression,
    ExpressionError,
    ExpressionSyntaxError,
    NeedsEvaluation,
    compile_runtime,
)
from flunq.core.expressions.syntax import enclosed
from flunq.core.ids import partition_of

if TYPE_CHECKING:
    from flunq.core.execution.commands import Start, WorkflowRef

USUAL_SIZE = 100
USUAL_PATIENCE = 10
"""``max`` is so many times ``for`` if nothing is said."""
LONGEST = 86_400_000_000
"""Microseconds that the first start of a group may have to wait."""
_WHERE = "/document/metadata/start"
_KEYS = {"debounce": ("key", "for", "max"), "batch": ("key", "for", "size")}

_encode = msgspec.json.Encoder(order="sorted").encode


class CollectingError(ValueError):
    """Metadata about starts that cannot be used; ``pointer`` says where it stands."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class GroupKeyError(ValueError):
    """The key of a group cannot be found from an input."""


class Collecting(msgspec.Struct, frozen=True, kw_only=True):
    """How a workflow collects its starts."""

    kind: Literal["debounce", "batch"]
    key: Any = None
    """A constant, if it is no expression."""
    program: Expression | None = None
    wait: int
    """Microseconds."""
    longest: int
    """Microseconds from the first start on."""
    size: int = 0
    """Of a batch: with so many it is complete."""

    def key_of(self, value: Any) -> Any:
        """Return the key of an input; raises GroupKeyError."""
        if self.program is None:
            return self.key
        try:
            found = self.program.evaluate(value, {}, EMPTY)
        except ExpressionError as error:
            raise GroupKeyError(str(error)) from error
        except (NeedsEvaluation, RecursionError) as error:
            raise GroupKeyError("it is too much for a key") from error
        if found is None:
            raise GroupKeyError("the input has none")  # strangers would become one execution
        return found


def collecting_of(document: Any) -> Collecting | None:
    """Return how starts are collected, None if each begins by itself; raises CollectingError."""
    head = document.get("document") if isinstance(document, dict) else None
    metadata = head.get("metadata") if isinstance(head, dict) else None
    value = metadata.get("start") if isinstance(metadata, dict) else None
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in _KEYS:
        raise CollectingError(_WHERE, "start is an object with either debounce or batch")
    ((kind, rule),) = value.items()
    where = f"{_WHERE}/{kind}"
    known = _KEYS[kind]
    if not isinstance(rule, dict):
        raise CollectingError(where, f"{kind} is an object with {', '.join(known)}")
    for name in rule:
        if name not in known:
            message = f"{kind} has no {name!r}; it has {', '.join(known)}"
            raise CollectingError(f"{where}/{name}", message)
    return _debounce(rule, where) if kind == "debounce" else _batch(rule, where)


def is_collected(start: Start) -> bool:
    """Tell whether a start may become part of a group: children and forks begin by themselves."""
    return start.parent is None and not start.forked_from


def route_of(ref: WorkflowRef, key: Any) -> str:
    """Return what decides to which partition the groups of a workflow and a key belong."""
    named = f"{ref.namespace}/{ref.name}\n".encode() + _encode(key)
    return blake2b(named, digest_size=12).hexdigest()


def group_of(ref: WorkflowRef, route: str) -> str:
    """Return the name of a group: each version of a workflow has its own."""
    return f"{route}.{blake2b(ref.digest.encode(), digest_size=6).hexdigest()}"


def execution_of(route: str, start: str, partitions: int) -> str:
    """Return the id of the execution whose first start this is, in the partition of its group."""
    wanted = partition_of(route, partitions)
    for number in count():
        name = blake2b(f"{route}\n{start}\n{number}".encode(), digest_size=12).hexdigest()
        if partition_of(f"group-{name}", partitions) == wanted:
            return f"group-{name}"
    raise AssertionError


def _debounce(rule: dict[str, Any], where: str) -> Collecting:
    wait = _time(rule.get("for"), f"{where}/for")
    longest = min(wait * USUAL_PATIENCE, LONGEST)
    if "max" in rule:
        longest = _time(rule["max"], f"{where}/max")
    if longest < wait:
        raise CollectingError(f"{where}/max", "max is at least as long as for")
    key, program = _key(rule, where)
    return Collecting(kind="debounce", key=key, program=program, wait=wait, longest=longest)


def _batch(rule: dict[str, Any], where: str) -> Collecting:
    wait = _time(rule.get("for"), f"{where}/for")
    size = rule.get("size", USUAL_SIZE)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MOST_COLLECTED:
        raise CollectingError(f"{where}/size", f"size is a number from 1 to {MOST_COLLECTED}")
    key, program = _key(rule, where)
    return Collecting(kind="batch", key=key, program=program, wait=wait, longest=wait, size=size)


def _time(value: Any, where: str) -> int:
    if value is None:
        raise CollectingError(where.rpartition("/")[0], "it needs a time: for: PT5S")
    try:
        length = parse_duration(value).approximate()
    except DurationError as error:
        raise CollectingError(where, str(error)) from None
    if not 0 < length <= LONGEST:
        raise CollectingError(where, "the time is longer than nothing and at most a day")
    return length


def _key(rule: dict[str, Any], where: str) -> tuple[Any, Expression | None]:
    """Return a constant key, or the expression that stands for it."""
    key = rule.get("key")
    if not isinstance(key, str) or "${" not in key:
        return key, None
    if enclosed(key) is None:
        raise CollectingError(f"{where}/key", "key is a constant or a single expression")
    try:
        program = compile_runtime(key)
    except ExpressionSyntaxError as error:
        raise CollectingError(f"{where}/key", f"key: {error}") from None
    if program.variables:
        names = ", ".join(f"${name}" for name in sorted(program.variables))
        raise CollectingError(f"{where}/key", f"key sees the input only, not {names}")
    if program.fast is None:
        message = "this expression is too much for a key: use paths, comparisons, simple functions"
        raise CollectingError(f"{where}/key", message)
    return None, program
