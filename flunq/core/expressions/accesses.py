"""Closures for paths: members, slices, iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.expressions.code import NOTHING, Code, Many, One, many, maybe, one, results
from flunq.core.expressions.errors import ExpressionError
from flunq.core.expressions.fuel import Env, spend
from flunq.core.expressions.operators import member, members, section

if TYPE_CHECKING:
    from collections.abc import Iterator


def identity(value: Any, env: Env) -> Any:
    """``.``."""
    return value


def constant(result: Any) -> One:
    """Return a closure for a constant."""
    return lambda value, env: result


def variable(slot: str) -> One:
    """Return a closure for a variable."""
    return lambda value, env: env[slot]


def input_path(keys: tuple[str | float, ...]) -> One:
    """Return a closure for ``.a.b[0]``."""
    if len(keys) == 1 and isinstance(keys[0], str):
        return _input_field(keys[0])
    if len(keys) == 2 and isinstance(keys[0], str) and isinstance(keys[1], str):
        return _input_two_fields(keys[0], keys[1])

    steps: tuple[Any, ...] = keys

    def path(value: Any, env: Env) -> Any:
        for key in steps:
            if (type(value) is dict and key in value) or (
                type(value) is list and type(key) is int and 0 <= key < len(value)
            ):
                value = value[key]
            else:
                value = member(value, key)
        return value

    return path


def _input_field(name: str) -> One:
    def field(value: Any, env: Env) -> Any:
        if type(value) is dict:
            return value.get(name)
        return member(value, name)

    return field


def _input_two_fields(outer: str, inner: str) -> One:
    def fields(value: Any, env: Env) -> Any:
        value = value.get(outer) if type(value) is dict else member(value, outer)
        return value.get(inner) if type(value) is dict else member(value, inner)

    return fields


def variable_path(slot: str, keys: tuple[str | float, ...]) -> One:
    """Return a closure for ``$name.a.b[0]``."""

    steps: tuple[Any, ...] = keys

    def path(value: Any, env: Env) -> Any:
        value = env[slot]
        for key in steps:
            if (type(value) is dict and key in value) or (
                type(value) is list and type(key) is int and 0 <= key < len(value)
            ):
                value = value[key]
            else:
                value = member(value, key)
        return value

    return path


def target_path(target: One, keys: tuple[str | float, ...]) -> One:
    """Return a closure for a constant path below any single result."""

    def path(value: Any, env: Env) -> Any:
        value = target(value, env)
        for key in keys:
            value = member(value, key)
        return value

    return path


def index(target: Code, key: Code, *, optional: bool) -> Code:
    """Return code for ``target[key]``."""
    if target.is_one and key.is_one:
        return _index_one(target.run, key.run, optional=optional)
    return many(_index_many(results(target), results(key), optional=optional))


def _index_one(target: One, key: One, *, optional: bool) -> Code:
    if not optional:

        def look_up(value: Any, env: Env) -> Any:
            wanted = key(value, env)
            return member(target(value, env), wanted)

        return one(look_up)

    def attempt(value: Any, env: Env) -> Any:
        wanted = key(value, env)
        holder = target(value, env)
        try:
            return member(holder, wanted)
        except ExpressionError:
            return NOTHING

    return maybe(attempt)


def _index_many(target: Many, key: Many, *, optional: bool) -> Many:
    def index_each(value: Any, env: Env) -> Iterator[Any]:
        for wanted in key(value, env):
            for holder in target(value, env):
                try:
                    found = member(holder, wanted)
                except ExpressionError:
                    if optional:
                        continue
                    raise
                yield found

    return index_each


def slice_of(target: Code, start: One, end: One, *, optional: bool) -> Code:
    """Return code for ``target[start:end]`` with single bounds."""
    if target.is_one and not optional:
        run = target.run

        def cut(value: Any, env: Env) -> Any:
            first, last = start(value, env), end(value, env)
            return section(run(value, env), first, last)

        return one(cut)
    holders = results(target)

    def slice_each(value: Any, env: Env) -> Iterator[Any]:
        first, last = start(value, env), end(value, env)
        for holder in holders(value, env):
            try:
                part = section(holder, first, last)
            except ExpressionError:
                if optional:
                    continue
                raise
            yield part

    return many(slice_each)


def iterate(target: Code, *, optional: bool) -> Code:
    """Return code for ``target[]``."""
    holders = results(target)

    def each(value: Any, env: Env) -> Iterator[Any]:
        for holder in holders(value, env):
            try:
                items = members(holder)
            except ExpressionError:
                if optional:
                    continue
                raise
            spend(env, len(items))
            yield from items

    return many(each)


def recurse(value: Any, env: Env) -> Iterator[Any]:
    """``..``: the value and everything in it, parents first."""
    stack = [value]
    while stack:
        current = stack.pop()
        yield current
        cls = type(current)
        if cls is list or cls is dict:
            spend(env, len(current))
            stack.extend(reversed(members(current)))
