"""Closures for updates: ``=``, ``|=``, ``+=`` and ``del``.

Values are never changed in place: an update copies the containers along its path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from flunq.core.expressions import nodes as n
from flunq.core.expressions.code import (
    NOTHING,
    Code,
    One,
    Unsupported,
    first_result,
    one,
    required,
)
from flunq.core.expressions.combining import is_true
from flunq.core.expressions.errors import BeyondTier0, ExpressionError
from flunq.core.expressions.fuel import MAX_ITEMS, Env, spend
from flunq.core.expressions.operators import ARITHMETIC, member, members
from flunq.core.expressions.values import sort_key

if TYPE_CHECKING:
    from flunq.core.expressions.compiler import Compiler, Slots

Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[Path, Any]
Places: TypeAlias = Callable[[Place, Env], Iterator[Place]]
"""Yields the places that a path expression reaches from one place."""


def compile_assignment(compiler: Compiler, node: n.Assign, slots: Slots) -> Code:
    """Return the code of an update, or raise Unsupported."""
    places = _places(compiler, node.target, slots)
    value = compiler.compile(node.value, slots)
    if node.operator == "|=":
        return one(_modify(places, first_result(value)))
    operand = required(value)
    if node.operator == "=":
        return one(_assign(places, operand))
    if node.operator == "//=":
        return one(_update(places, operand, lambda old, new: old if is_true(old) else new))
    return one(_update(places, operand, ARITHMETIC[node.operator[0]]))


def compile_deletion(compiler: Compiler, target: n.Node, slots: Slots) -> Code:
    """Return the code of ``del(target)``, or raise Unsupported."""
    places = _places(compiler, target, slots)

    def delete(value: Any, env: Env) -> Any:
        return _without(value, [path for path, _ in places(((), value), env)], env)

    return one(delete)


# -- updates


def _assign(places: Places, operand: One) -> One:
    def assign(value: Any, env: Env) -> Any:
        new = operand(value, env)
        result = value
        for path, _ in places(((), value), env):
            result = _replaced(result, path, new, env)
        return result

    return assign


def _update(places: Places, operand: One, operator: Callable[[Any, Any], Any]) -> One:
    def update(value: Any, env: Env) -> Any:
        other = operand(value, env)
        result = value
        for path, _ in places(((), value), env):
            result = _replaced(result, path, operator(_at(result, path), other), env)
        return result

    return update


def _modify(places: Places, first: One) -> One:
    def modify(value: Any, env: Env) -> Any:
        result = value
        emptied: list[Path] = []
        for path, _ in places(((), value), env):
            new = first(_at(result, path), env)
            if new is NOTHING:
                emptied.append(path)
            else:
                result = _replaced(result, path, new, env)
        return _without(result, emptied, env)

    return modify


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = member(value, key)
    return value


def _replaced(value: Any, path: Path, new: Any, env: Env) -> Any:
    if not path:
        return new
    key, rest = path[0], path[1:]
    if type(key) is str and (value is None or type(value) is dict):
        members_ = {} if value is None else dict(value)
        spend(env, 1 + (len(members_) >> 4))
        members_[key] = _replaced(members_.get(key), rest, new, env)
        return members_
    if type(key) is int and (value is None or type(value) is list):
        return _replaced_item([] if value is None else value, key, rest, new, env)
    raise BeyondTier0("an update of another kind")


def _replaced_item(value: list[Any], key: int, rest: Path, new: Any, env: Env) -> list[Any]:
    position = key + len(value) if key < 0 else key
    if not 0 <= position < MAX_ITEMS:
        raise BeyondTier0("an unusual position")
    items = value + [None] * (position + 1 - len(value))
    spend(env, 1 + (len(items) >> 4))
    items[position] = _replaced(items[position], rest, new, env)
    return items


def _without(value: Any, paths: list[Path], env: Env) -> Any:
    for path in sorted(paths, key=lambda path: sort_key(list(path)), reverse=True):
        value = _deleted(value, path, env)
    return value


def _deleted(value: Any, path: Path, env: Env) -> Any:
    if not path or value is None:
        return None
    key, rest = path[0], path[1:]
    if type(key) is str and type(value) is dict:
        if key not in value:
            return value
        spend(env, 1 + (len(value) >> 4))
        if rest:
            return {**value, key: _deleted(value[key], rest, env)}
        return {name: item for name, item in value.items() if name != key}
    if type(key) is int and type(value) is list and key >= 0:
        if key >= len(value):
            return value
        spend(env, 1 + (len(value) >> 4))
        kept = [_deleted(value[key], rest, env)] if rest else []
        return value[:key] + kept + value[key + 1 :]
    raise BeyondTier0("a deletion of another kind")


# -- path expressions


def _places(compiler: Compiler, node: n.Node, slots: Slots) -> Places:
    compiler.yields = True
    if isinstance(node, n.Identity):
        return _here
    if isinstance(node, n.Index):
        return _index_places(compiler, node, slots)
    if isinstance(node, n.Iterate):
        return _member_places(_places(compiler, node.target, slots), optional=node.optional)
    if isinstance(node, n.Pipe):
        return _piped(_places(compiler, node.left, slots), _places(compiler, node.right, slots))
    if isinstance(node, n.Comma):
        return _both(_places(compiler, node.left, slots), _places(compiler, node.right, slots))
    if isinstance(node, n.Call):
        return _call_places(compiler, node, slots)
    raise Unsupported


def _here(place: Place, env: Env) -> Iterator[Place]:
    yield place


def _index_places(compiler: Compiler, node: n.Index, slots: Slots) -> Places:
    targets = _places(compiler, node.target, slots)
    key = required(compiler.compile(node.key, slots))
    optional = node.optional

    def index(place: Place, env: Env) -> Iterator[Place]:
        wanted = key(place[1], env)
        for path, value in targets(place, env):
            try:
                found = member(value, wanted)
            except ExpressionError:
                if optional:
                    continue
                raise
            if type(wanted) is not str and type(wanted) is not int:
                raise BeyondTier0("an unusual key")
            yield (*path, wanted), found

    return index


def _member_places(targets: Places, *, optional: bool) -> Places:
    def each(place: Place, env: Env) -> Iterator[Place]:
        for path, value in targets(place, env):
            try:
                items = members(value)
            except ExpressionError:
                if optional:
                    continue
                raise
            spend(env, len(items))
            keys = value if type(value) is dict else range(len(items))
            for key, item in zip(keys, items, strict=True):
                yield (*path, key), item

    return each


def _piped(left: Places, right: Places) -> Places:
    def pipe(place: Place, env: Env) -> Iterator[Place]:
        for middle in left(place, env):
            yield from right(middle, env)

    return pipe


def _both(left: Places, right: Places) -> Places:
    def both(place: Place, env: Env) -> Iterator[Place]:
        spend(env, 1)
        yield from left(place, env)
        yield from right(place, env)

    return both


def _call_places(compiler: Compiler, node: n.Call, slots: Slots) -> Places:
    if node.name == "empty" and not node.arguments:
        return lambda place, env: iter(())
    if node.name != "select" or len(node.arguments) != 1:
        raise Unsupported
    condition = required(compiler.compile(node.arguments[0], slots))

    def select(place: Place, env: Env) -> Iterator[Place]:
        if is_true(condition(place[1], env)):
            yield place

    return select
