"""Closures for operators, constructions and conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flunq.core.expressions.code import (
    NOTHING,
    Code,
    Many,
    Mode,
    One,
    first_result,
    many,
    maybe,
    one,
    results,
)
from flunq.core.expressions.errors import ExpressionError
from flunq.core.expressions.fuel import Env, bounded_text, spend, weigh, weigh_width
from flunq.core.expressions.operators import add
from flunq.core.expressions.values import kind, shown

Operator = Callable[[Any, Any], Any]


def is_true(value: Any) -> bool:
    """Tell whether jq takes a value as true."""
    return value is not None and value is not False


def pipe(left: Code, right: Code) -> Code:
    """``left | right``."""
    before, after = left.run, right.run
    if left.is_one:
        return Code(right.mode, lambda value, env: after(before(value, env), env))
    if left.mode is Mode.MAYBE and right.mode is not Mode.MANY:

        def pipe_maybe(value: Any, env: Env) -> Any:
            result = before(value, env)
            return result if result is NOTHING else after(result, env)

        return maybe(pipe_maybe)
    sources = results(left)
    if right.is_one:
        return many(lambda value, env: (after(item, env) for item in sources(value, env)))
    sinks = results(right)

    def pipe_many(value: Any, env: Env) -> Iterator[Any]:
        for item in sources(value, env):
            yield from sinks(item, env)

    return many(pipe_many)


def comma(left: Code, right: Code) -> Code:
    """``left , right``."""
    first, second = results(left), results(right)

    def both(value: Any, env: Env) -> Iterator[Any]:
        spend(env, 1)
        yield from first(value, env)
        spend(env, 1)
        yield from second(value, env)

    return many(both)


def apply(operator: Operator, left: Code, right: Code) -> Code:
    """Apply an operator; the right side is the outer loop."""
    if left.is_one and right.is_one:
        first, second = left.run, right.run

        def compute(value: Any, env: Env) -> Any:
            other = second(value, env)
            return operator(first(value, env), other)

        return one(compute)
    lefts, rights = results(left), results(right)

    def product(value: Any, env: Env) -> Iterator[Any]:
        for other in rights(value, env):
            for item in lefts(value, env):
                yield operator(item, other)

    return many(product)


def apply_weighed(operator: Operator, left: Code, right: Code, *, deep: bool) -> Code:
    """Apply an operator and spend for the size of what it works on."""
    measure = weigh if deep else weigh_width
    if left.is_one and right.is_one:
        first, second = left.run, right.run

        def weighed(value: Any, env: Env) -> Any:
            other = second(value, env)
            item = first(value, env)
            measure(item, env)
            measure(other, env)
            return operator(item, other)

        return one(weighed)
    lefts, rights = results(left), results(right)

    def product(value: Any, env: Env) -> Iterator[Any]:
        for other in rights(value, env):
            measure(other, env)
            for item in lefts(value, env):
                measure(item, env)
                yield operator(item, other)

    return many(product)


def add_constant(left: One, amount: int) -> One:
    """``left + 1``."""

    def add_amount(value: Any, env: Env) -> Any:
        item = left(value, env)
        return item + amount if type(item) is int else add(item, amount)

    return add_amount


def equals_constant(left: One, wanted: Any) -> One | None:
    """``left == constant`` where Python's equality is jq's, else None."""
    if wanted is None or wanted is True or wanted is False:
        return lambda value, env: left(value, env) is wanted
    if type(wanted) is str or (type(wanted) is int and wanted not in (0, 1)):
        return lambda value, env: left(value, env) == wanted
    return None


def both_true(left: Code, right: Code) -> Code:
    """``left and right``."""
    if left.is_one and right.is_one:
        first, second = left.run, right.run
        return one(lambda value, env: is_true(first(value, env)) and is_true(second(value, env)))
    return many(_short_circuit(results(left), results(right), stops_on=False))


def either_true(left: Code, right: Code) -> Code:
    """``left or right``."""
    if left.is_one and right.is_one:
        first, second = left.run, right.run
        return one(lambda value, env: is_true(first(value, env)) or is_true(second(value, env)))
    return many(_short_circuit(results(left), results(right), stops_on=True))


def _short_circuit(left: Many, right: Many, *, stops_on: bool) -> Many:
    def decide(value: Any, env: Env) -> Iterator[bool]:
        for item in left(value, env):
            if is_true(item) is stops_on:
                yield stops_on
            else:
                yield from map(is_true, right(value, env))

    return decide


def alternative(left: Code, right: Code) -> Code:
    """``left // right``; an error on the left is an error of the whole."""
    if left.mode is not Mode.MANY and right.is_one:
        return one(_alternative_one(left.run, right.run))
    preferred, fallback = results(left), results(right)

    def choose(value: Any, env: Env) -> Iterator[Any]:
        found = False
        for item in preferred(value, env):
            if is_true(item):
                found = True
                yield item
        if not found:
            yield from fallback(value, env)

    return many(choose)


def _alternative_one(left: One, right: One) -> One:
    def choose(value: Any, env: Env) -> Any:
        item = left(value, env)
        if item is None or item is False or item is NOTHING:
            return right(value, env)
        return item

    return choose


def condition(test: Code, then: Code, otherwise: Code) -> Code:
    """``if test then ... else ... end``."""
    if test.is_one and Mode.MANY not in (then.mode, otherwise.mode):
        ask, yes, no = test.run, then.run, otherwise.run
        mode = Mode.ONE if then.is_one and otherwise.is_one else Mode.MAYBE

        def branch(value: Any, env: Env) -> Any:
            answer = ask(value, env)
            if answer is None or answer is False:
                return no(value, env)
            return yes(value, env)

        return Code(mode, branch)
    asks, positive, negative = results(test), results(then), results(otherwise)

    def branches(value: Any, env: Env) -> Iterator[Any]:
        for answer in asks(value, env):
            yield from (positive if is_true(answer) else negative)(value, env)

    return many(branches)


def attempt(body: Code, handler: Code | None) -> Code:
    """``try body catch handler``, or ``body?`` without a handler."""
    if body.mode is not Mode.MANY and (handler is None or handler.mode is not Mode.MANY):
        return _attempt_single(body, handler)
    bodies = results(body)
    handlers = results(handler) if handler is not None else None

    def attempts(value: Any, env: Env) -> Iterator[Any]:
        try:
            yield from bodies(value, env)
        except ExpressionError as error:
            failure = error
        else:
            return
        if handlers is not None:
            yield from handlers(failure.value, env)

    return many(attempts)


def _attempt_single(body: Code, handler: Code | None) -> Code:
    run = body.run
    if handler is None:

        def silence(value: Any, env: Env) -> Any:
            try:
                return run(value, env)
            except ExpressionError:
                return NOTHING

        return maybe(silence)
    handle = handler.run

    def catch(value: Any, env: Env) -> Any:
        try:
            return run(value, env)
        except ExpressionError as error:
            failure = error
        return handle(failure.value, env)

    return Code(Mode.ONE if body.is_one and handler.is_one else Mode.MAYBE, catch)


def constant_object(pairs: list[tuple[str, One]]) -> One:
    """``{a: ..., b: ...}`` with constant keys and single values."""
    if len(pairs) == 1:
        ((name, only),) = pairs
        return lambda value, env: {name: only(value, env)}
    if len(pairs) == 2:
        (name, first), (other, second) = pairs
        return lambda value, env: {name: first(value, env), other: second(value, env)}
    return lambda value, env: {name: item(value, env) for name, item in pairs}


def computed_object(pairs: list[tuple[Code, Code]]) -> Code:
    """``{(key): ...}``: all combinations of keys and values, the first pair outermost."""
    if all(key.is_one and item.is_one for key, item in pairs):
        single = [(key.run, item.run) for key, item in pairs]
        return one(
            lambda value, env: {
                object_key(key(value, env)): item(value, env) for key, item in single
            }
        )
    sources = [(results(key), results(item)) for key, item in pairs]

    def combine(value: Any, env: Env, position: int, done: dict[str, Any]) -> Iterator[Any]:
        if position == len(sources):
            yield done
            return
        keys, items = sources[position]
        for key in keys(value, env):
            for item in items(value, env):
                spend(env, 1)
                yield from combine(value, env, position + 1, {**done, object_key(key): item})

    return many(lambda value, env: combine(value, env, 0, {}))


def object_key(key: Any) -> str:
    """Return a key that may name a member."""
    if type(key) is not str:
        raise ExpressionError(f"Cannot use {kind(key)} ({shown(key)}) as object key")
    return key


def text(parts: list[str | One], render: Callable[[Any], str]) -> One:
    """Return a string with interpolations; jq evaluates the last one first."""
    backwards = parts[::-1]

    def build(value: Any, env: Env) -> str:
        pieces = [part if isinstance(part, str) else render(part(value, env)) for part in backwards]
        pieces.reverse()
        return bounded_text("".join(pieces))

    return build


def first_or_null(code: Code) -> One:
    """Return what an expression evaluates to: its first result, null for none."""
    if code.is_one:
        return code.run
    first = first_result(code)

    def result(value: Any, env: Env) -> Any:
        found = first(value, env)
        return None if found is NOTHING else found

    return result
