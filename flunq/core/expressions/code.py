"""Compiled programs: a closure and how many results it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from flunq.core.expressions.fuel import Env

One: TypeAlias = Callable[[Any, Env], Any]
Many: TypeAlias = Callable[[Any, Env], Iterator[Any]]


class Unsupported(Exception):  # noqa: N818 - a decision, not an error
    """The pure tier does not compile this program."""


class _Nothing(Enum):
    NOTHING = "no result"


NOTHING = _Nothing.NOTHING
"""What a closure of mode MAYBE returns for no result."""


class Mode(Enum):
    """How many results a program gives."""

    ONE = "exactly one, returned"
    MAYBE = "one or none, returned; NOTHING for none"
    MANY = "any number, yielded"


class Code(NamedTuple):
    """A compiled program."""

    mode: Mode
    run: Callable[[Any, Env], Any]

    @property
    def is_one(self) -> bool:
        """Tell whether there is exactly one result."""
        return self.mode is Mode.ONE


def one(run: One) -> Code:
    """Return code that gives exactly one result."""
    return Code(Mode.ONE, run)


def maybe(run: One) -> Code:
    """Return code that gives one result or NOTHING."""
    return Code(Mode.MAYBE, run)


def many(run: Many) -> Code:
    """Return code that yields its results."""
    return Code(Mode.MANY, run)


def results(code: Code) -> Many:
    """Return the generator form of any code."""
    run = code.run
    if code.mode is Mode.ONE:

        def yield_one(value: Any, env: Env) -> Iterator[Any]:
            yield run(value, env)

        return yield_one
    if code.mode is Mode.MAYBE:

        def yield_maybe(value: Any, env: Env) -> Iterator[Any]:
            result = run(value, env)
            if result is not NOTHING:
                yield result

        return yield_maybe
    return run


def first_result(code: Code) -> One:
    """Return a closure that gives the first result or NOTHING."""
    run = code.run
    if code.mode is not Mode.MANY:
        return run

    def first(value: Any, env: Env) -> Any:
        return next(run(value, env), NOTHING)

    return first


def collected(code: Code) -> Callable[[Any, Env], list[Any]]:
    """Return a closure that gives all results as an array."""
    run = code.run
    if code.mode is Mode.ONE:
        return lambda value, env: [run(value, env)]
    if code.mode is Mode.MAYBE:

        def collect_maybe(value: Any, env: Env) -> list[Any]:
            result = run(value, env)
            return [] if result is NOTHING else [result]

        return collect_maybe
    return lambda value, env: list(run(value, env))


def required(code: Code) -> One:
    """Return the closure of code that gives exactly one result, or refuse to compile."""
    if code.mode is not Mode.ONE:
        raise Unsupported
    return code.run
