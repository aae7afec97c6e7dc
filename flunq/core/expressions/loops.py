"""Closures for bindings and loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from flunq.core.expressions import nodes as n
from flunq.core.expressions.code import (
    NOTHING,
    Code,
    Many,
    Mode,
    One,
    Unsupported,
    many,
    maybe,
    one,
    results,
)
from flunq.core.expressions.combining import is_true
from flunq.core.expressions.errors import BeyondTier0, ExpressionError
from flunq.core.expressions.fuel import Env, spend
from flunq.core.expressions.operators import add, is_number, member, members

Binder: TypeAlias = Callable[[Env, Any], None]


def binder(pattern: n.Pattern, slots: dict[str, str]) -> Binder:
    """Return what stores the parts of a value in its variables."""
    if isinstance(pattern, n.VariablePattern):
        slot = slots[pattern.name]

        def store(env: Env, value: Any) -> None:
            env[slot] = value

        return store
    steps = list(_steps(pattern, slots, ()))

    def destructure(env: Env, value: Any) -> None:
        for slot, path in steps:
            part = value
            for key in path:
                part = member(part, key)
            env[slot] = part

    return destructure


def _steps(
    pattern: n.Pattern, slots: dict[str, str], path: tuple[Any, ...]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if isinstance(pattern, n.VariablePattern):
        yield slots[pattern.name], path
    elif isinstance(pattern, n.ArrayPattern):
        for position, item in reversed(list(enumerate(pattern.items))):
            yield from _steps(item, slots, (*path, position))
    else:
        for name, key, inner in pattern.items:
            if not isinstance(key, n.Literal):
                raise Unsupported
            if name is not None:
                yield slots[name], (*path, key.value)
            if inner is not None:
                yield from _steps(inner, slots, (*path, key.value))


def bind(source: Code, store: Binder, body: Code) -> Code:
    """``source as pattern | body``."""
    run = body.run
    if source.is_one and body.mode is not Mode.MANY:
        get = source.run

        def bind_one(value: Any, env: Env) -> Any:
            store(env, get(value, env))
            return run(value, env)

        return Code(body.mode, bind_one)
    sources, bodies = results(source), results(body)

    def bind_each(value: Any, env: Env) -> Iterator[Any]:
        for item in sources(value, env):
            store(env, item)
            yield from bodies(value, env)

    return many(bind_each)


def reduce(source: Many, store: Binder, start: One, update: Code) -> Code:
    """``reduce source as pattern (start; update)``; an update without result gives null."""
    step = update.run if update.is_one else _last_or_null(results(update))

    def loop(value: Any, env: Env) -> Any:
        state = start(value, env)
        for item in source(value, env):
            store(env, item)
            state = step(state, env)
        return state

    return one(loop)


def _last_or_null(update: Many) -> One:
    def last(value: Any, env: Env) -> Any:
        state = None
        for result in update(value, env):
            state = result
        return state

    return last


def foreach(source: Many, store: Binder, start: One, update: Many, extract: Many | None) -> Code:
    """``foreach source as pattern (start; update; extract)``."""

    def loop(value: Any, env: Env) -> Iterator[Any]:
        state = start(value, env)
        for item in source(value, env):
            store(env, item)
            before, state = state, None
            for result in update(before, env):
                state = result
                if extract is None:
                    yield result
                else:
                    yield from extract(result, env)

    return many(loop)


def map_items(body: Code) -> Code:
    """``map(body)``."""
    run = body.run
    if body.is_one:

        def map_one(value: Any, env: Env) -> list[Any]:
            items = members(value)
            spend(env, len(items))
            return [run(item, env) for item in items]

        return one(map_one)
    if body.mode is Mode.MAYBE:

        def map_maybe(value: Any, env: Env) -> list[Any]:
            items = members(value)
            spend(env, len(items))
            return [new for item in items if (new := run(item, env)) is not NOTHING]

        return one(map_maybe)

    def map_many(value: Any, env: Env) -> list[Any]:
        items = members(value)
        spend(env, len(items))
        return [new for item in items for new in run(item, env)]

    return one(map_many)


def map_values(first: One) -> Code:
    """``map_values(body)`` by the first result of the body; none removes the member."""

    def replace(value: Any, env: Env) -> Any:
        items = members(value)
        spend(env, len(items))
        if type(value) is list:
            return [new for item in items if (new := first(item, env)) is not NOTHING]
        return {
            name: new for name, item in value.items() if (new := first(item, env)) is not NOTHING
        }

    return one(replace)


def select(condition: Code) -> Code:
    """``select(condition)``."""
    if condition.is_one:
        ask = condition.run

        def keep(value: Any, env: Env) -> Any:
            answer = ask(value, env)
            return NOTHING if answer is None or answer is False else value

        return maybe(keep)
    asks = results(condition)

    def keep_each(value: Any, env: Env) -> Iterator[Any]:
        for answer in asks(value, env):
            if is_true(answer):
                yield value

    return many(keep_each)


def count(start: One, end: One) -> Code:
    """``range(start; end)``."""

    def numbers(value: Any, env: Env) -> Iterator[Any]:
        first, last = start(value, env), end(value, env)
        if not is_number(first) or not is_number(last):
            raise ExpressionError("Range bounds must be numeric")
        if last <= first:
            return
        spend(env, int(last - first) + 1)
        while first < last:
            yield first
            first = add(first, 1)

    return many(numbers)


def any_of(source: Many, condition: Many) -> Code:
    """``any(source; condition)``, which stops at the first true result."""

    def ask(value: Any, env: Env) -> bool:
        return any(is_true(r) for item in source(value, env) for r in condition(item, env))

    return one(ask)


def all_of(source: Many, condition: Many) -> Code:
    """``all(source; condition)``, which stops at the first false result."""

    def ask(value: Any, env: Env) -> bool:
        return all(is_true(r) for item in source(value, env) for r in condition(item, env))

    return one(ask)


def total_of(source: Many) -> Code:
    """``add(source)``."""

    def total(value: Any, env: Env) -> Any:
        result: Any = None
        for item in source(value, env):
            result = add(result, item)
            if type(result) in (str, list, dict):
                spend(env, len(result) >> 6)
        return result

    return one(total)


def limit(amount: One, source: Many) -> Code:
    """``limit(amount; source)``."""

    def take(value: Any, env: Env) -> Iterator[Any]:
        left = amount(value, env)
        if not is_number(left):
            raise BeyondTier0("an unusual count")
        if left < 0:
            raise ExpressionError("limit doesn't support negative count")
        if left == 0:
            return
        for item in source(value, env):
            yield item
            left -= 1
            if left <= 0:
                return

    return many(take)
