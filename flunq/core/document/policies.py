"""Compiles what several places of a document share: expressions, durations, retry policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document.bundle import DOCUMENT, EMPTY, Library
from flunq.core.document.model import NO_STAGE, DataStage, DurationSpec, Program, RetryPolicy
from flunq.core.document.schemas import Schema
from flunq.core.duration import DurationError, parse_duration
from flunq.core.expressions import (
    ExpressionError,
    ExpressionSyntaxError,
    compile_runtime,
    compile_template,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flunq.core.retrying import Backoff


class Broken:
    """An expression that does not compile; it fails like any other when it is evaluated."""

    __slots__ = ("_message",)
    variables: frozenset[str] = frozenset()

    def __init__(self, message: str) -> None:
        self._message = message

    def evaluate(self, input: Any, variables: Mapping[str, Any], answers: Any) -> Any:
        """Raise ExpressionError."""
        raise ExpressionError(self._message)


def condition(value: Any) -> Program | None:
    """Compile an optional expression field, written bare or enclosed."""
    return None if value is None else _compiled(compile_runtime, str(value))


def template(value: Any) -> Program:
    """Compile a free value."""
    return _compiled(compile_template, value)


def transformation(value: Any) -> Program | None:
    """Compile a ``from`` or ``as``: an expression, or an object with expressions inside."""
    if value is None:
        return None
    return condition(value) if isinstance(value, str) else template(value)


def _compiled(compile_: Callable[[Any], Any], value: Any) -> Program:
    try:
        program: Program = compile_(value)
    except ExpressionSyntaxError as error:
        return Broken(f"{error} in {value!r}" if isinstance(value, str) else str(error))
    return program


def stage(value: Any, key: str, library: Library = EMPTY, base: str = DOCUMENT) -> DataStage:
    """Compile an ``input``, ``output`` or ``export``; ``key`` is ``from`` or ``as``.

    ``base`` is the address of what it stands in, ``library`` what was registered with it.
    """
    if not isinstance(value, dict):
        return NO_STAGE
    schema = value.get("schema")
    return DataStage(
        schema=None if schema is None else Schema(schema, library, base),
        transform=transformation(value.get(key)),
    )


def duration(value: Any) -> DurationSpec:
    """Compile a duration: an object, an ISO 8601 text or an expression."""
    if isinstance(value, str) and "${" in value:
        return DurationSpec(program=template(value))
    try:
        return DurationSpec(constant=parse_duration(value))
    except DurationError as error:
        return DurationSpec(problem=str(error))


def optional_duration(value: Any) -> DurationSpec | None:
    """Compile a duration that may be absent."""
    return None if value is None else duration(value)


def timeout(value: Any, named: Mapping[str, Any]) -> DurationSpec | None:
    """Compile a ``timeout``: inline, or the name of a reusable one."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in named:
            return DurationSpec(problem=f"there is no timeout {value!r}")
        value = named[value]
    return duration(value.get("after") if isinstance(value, dict) else None)


def retry_policy(value: dict[str, Any]) -> RetryPolicy:
    """Compile a retry policy."""
    limit = value.get("limit") or {}
    attempt = limit.get("attempt") or {}
    jitter = value.get("jitter")
    return RetryPolicy(
        when=condition(value.get("when")),
        except_when=condition(value.get("exceptWhen")),
        delay=optional_duration(value.get("delay")),
        backoff=_backoff(value.get("backoff")),
        jitter=None if jitter is None else (duration(jitter["from"]), duration(jitter["to"])),
        count=attempt.get("count"),
        attempt_duration=optional_duration(attempt.get("duration")),
        duration=optional_duration(limit.get("duration")),
    )


def _backoff(value: Any) -> Backoff:
    kinds = value or {}
    if "exponential" in kinds:
        return "exponential"
    return "linear" if "linear" in kinds else "constant"
