"""Closures for calls of builtin functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from flunq.core.expressions import accesses, loops, updates
from flunq.core.expressions import nodes as n
from flunq.core.expressions.code import (
    NOTHING,
    Code,
    Mode,
    One,
    Unsupported,
    collected,
    first_result,
    many,
    maybe,
    one,
    required,
    results,
)
from flunq.core.expressions.combining import pipe
from flunq.core.expressions.errors import BeyondTier0
from flunq.core.expressions.fuel import Env, spend, weigh, weigh_width
from flunq.core.expressions.functions import (
    ARGUMENT_FUNCTIONS,
    CHEAP,
    FLAT,
    VALUE_FUNCTIONS,
    fail,
    from_entries,
    grouped,
    has,
    to_entries,
)
from flunq.core.expressions.operators import member
from flunq.core.expressions.values import kind, sort_key

if TYPE_CHECKING:
    from flunq.core.expressions.compiler import Compiler, Slots

Measure: TypeAlias = Callable[[Any, Env], None]
Arguments: TypeAlias = list[Code]

_MAX_SORT = 20_000
_IDENTITY = one(accesses.identity)
_EACH = accesses.iterate(_IDENTITY, optional=False)


def compile_call(compiler: Compiler, node: n.Call, slots: Slots) -> Code:
    """Return the code of a call, or raise Unsupported."""
    arity = len(node.arguments)
    if arity == 0 and node.name in VALUE_FUNCTIONS:
        return _value_call(compiler, node.name)
    if arity == 1 and node.name == "del":
        return updates.compile_deletion(compiler, node.arguments[0], slots)
    arguments = [compiler.compile(argument, slots) for argument in node.arguments]
    if arity == 1 and node.name in ARGUMENT_FUNCTIONS:
        return _argument_call(compiler, node.name, required(arguments[0]))
    special = _SPECIAL.get((node.name, arity))
    if special is None:
        raise Unsupported
    return special(arguments)


def weighed(function: Callable[[Any], Any], measure: Measure) -> One:
    """Return a closure that spends for its input before it works on it."""

    def run(value: Any, env: Env) -> Any:
        measure(value, env)
        return function(value)

    return run


def _measure(name: str) -> Measure:
    return weigh_width if name in FLAT else weigh


def _value_call(compiler: Compiler, name: str) -> Code:
    function = VALUE_FUNCTIONS[name]
    if compiler.guarded and name not in CHEAP:
        return one(weighed(function, _measure(name)))
    return one(lambda value, env: function(value))


def _argument_call(compiler: Compiler, name: str, argument: One) -> Code:
    function = ARGUMENT_FUNCTIONS[name]
    if not compiler.guarded or name in CHEAP:
        return one(lambda value, env: function(value, argument(value, env)))
    measure = _measure(name)

    def run(value: Any, env: Env) -> Any:
        other = argument(value, env)
        measure(value, env)
        measure(other, env)
        return function(value, other)

    return one(run)


def _keyed(key: Code) -> Callable[[Any, Env], list[tuple[Any, Any]]]:
    """Return a closure that pairs the items of an array with what they are sorted by."""
    outputs = collected(key)

    def pairs(value: Any, env: Env) -> list[tuple[Any, Any]]:
        if type(value) is not list or len(value) > _MAX_SORT:
            raise BeyondTier0("not a short array")
        spend(env, len(value))
        found = []
        for item in value:
            by = outputs(item, env)
            weigh(by, env)
            found.append((sort_key(by), item))
        return found

    return pairs


def _key(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def _sort_by(arguments: Arguments) -> Code:
    pairs = _keyed(arguments[0])
    return one(lambda value, env: [item for _, item in sorted(pairs(value, env), key=_key)])


def _group_by(arguments: Arguments) -> Code:
    pairs = _keyed(arguments[0])

    def group(value: Any, env: Env) -> list[Any]:
        return [[item for _, item in part] for part in grouped(pairs(value, env), _key)]

    return one(group)


def _unique_by(arguments: Arguments) -> Code:
    pairs = _keyed(arguments[0])
    return one(lambda value, env: [part[0][1] for part in grouped(pairs(value, env), _key)])


def _min_by(arguments: Arguments) -> Code:
    pairs = _keyed(arguments[0])
    return one(lambda value, env: min(pairs(value, env), key=_key, default=(None, None))[1])


def _max_by(arguments: Arguments) -> Code:
    pairs = _keyed(arguments[0])
    return one(
        lambda value, env: max(reversed(pairs(value, env)), key=_key, default=(None, None))[1]
    )


def _with_entries(arguments: Arguments) -> Code:
    return pipe(
        pipe(one(lambda value, env: to_entries(value)), loops.map_items(arguments[0])),
        one(lambda value, env: from_entries(value)),
    )


def _error(arguments: Arguments) -> Code:
    message = required(arguments[0])
    return one(lambda value, env: fail(message(value, env)))


def _first_of(arguments: Arguments) -> Code:
    mode = Mode.ONE if arguments[0].is_one else Mode.MAYBE
    return Code(mode, first_result(arguments[0]))


def _last_of(arguments: Arguments) -> Code:
    source = results(arguments[0])

    def last(value: Any, env: Env) -> Any:
        result: Any = NOTHING
        for item in source(value, env):
            result = item
        return result

    return maybe(last)


def _is_empty(arguments: Arguments) -> Code:
    first = first_result(arguments[0])
    return one(lambda value, env: first(value, env) is NOTHING)


def _in(arguments: Arguments) -> Code:
    holder = required(arguments[0])
    return one(lambda value, env: has(holder(value, env), value))


def _nth(arguments: Arguments) -> Code:
    position = required(arguments[0])
    return one(lambda value, env: member(value, position(value, env)))


def _keep(condition: Callable[[Any], bool]) -> Callable[[Arguments], Code]:
    code = maybe(lambda value, env: value if condition(value) else NOTHING)
    return lambda arguments: code


def _keep_kinds(*kinds: str) -> Callable[[Arguments], Code]:
    return _keep(lambda value: kind(value) in kinds)


def _range_from(arguments: Arguments) -> Code:
    return loops.count(required(arguments[0]), required(arguments[1]))


_ZERO = accesses.constant(0)

_SPECIAL: dict[tuple[str, int], Callable[[Arguments], Code]] = {
    ("empty", 0): lambda arguments: maybe(lambda value, env: NOTHING),
    ("error", 1): _error,
    ("map", 1): lambda arguments: loops.map_items(arguments[0]),
    ("map_values", 1): lambda arguments: loops.map_values(first_result(arguments[0])),
    ("select", 1): lambda arguments: loops.select(arguments[0]),
    ("recurse", 0): lambda arguments: many(accesses.recurse),
    ("range", 1): lambda arguments: loops.count(_ZERO, required(arguments[0])),
    ("range", 2): _range_from,
    ("any", 1): lambda arguments: loops.any_of(results(_EACH), results(arguments[0])),
    ("all", 1): lambda arguments: loops.all_of(results(_EACH), results(arguments[0])),
    ("any", 2): lambda arguments: loops.any_of(results(arguments[0]), results(arguments[1])),
    ("all", 2): lambda arguments: loops.all_of(results(arguments[0]), results(arguments[1])),
    ("add", 1): lambda arguments: loops.total_of(results(arguments[0])),
    ("sort_by", 1): _sort_by,
    ("group_by", 1): _group_by,
    ("unique_by", 1): _unique_by,
    ("min_by", 1): _min_by,
    ("max_by", 1): _max_by,
    ("with_entries", 1): _with_entries,
    ("first", 0): lambda arguments: one(lambda value, env: member(value, 0)),
    ("last", 0): lambda arguments: one(lambda value, env: member(value, -1)),
    ("nth", 1): _nth,
    ("first", 1): _first_of,
    ("last", 1): _last_of,
    ("isempty", 1): _is_empty,
    ("limit", 2): lambda arguments: loops.limit(required(arguments[0]), results(arguments[1])),
    ("in", 1): _in,
    ("values", 0): _keep(lambda value: value is not None),
    ("nulls", 0): _keep(lambda value: value is None),
    ("strings", 0): _keep_kinds("string"),
    ("numbers", 0): _keep_kinds("number"),
    ("booleans", 0): _keep_kinds("boolean"),
    ("arrays", 0): _keep_kinds("array"),
    ("objects", 0): _keep_kinds("object"),
    ("iterables", 0): _keep_kinds("array", "object"),
    ("scalars", 0): _keep_kinds("null", "boolean", "number", "string"),
}
