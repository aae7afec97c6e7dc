"""``$secrets`` in expressions: what may be done with a value that the engine never sees.

An expression gets a marker where it names a secret. It may pass the marker on, join it into a
text, put it into an object or array, or encode it; everything else would work on the marker
instead of the secret, so it is refused when the expression is compiled.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from flunq.core.expressions import nodes as n
from flunq.core.expressions.scope import children, pattern_variables
from flunq.core.markers import VARIABLE, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SECRETS = "secrets"
ENCODERS = frozenset({"text", "base64", "uri"})
"""Formats that a marker can carry along."""
_CONVERSIONS = frozenset({"tostring"})
_EACH = frozenset({"map", "map_values"})
_WHY = "a secret can only be passed on, joined into a text, put into a value or encoded"


class Taint(IntEnum):
    """What an expression's result may hold."""

    CLEAN = 0
    HOLDER = 1
    """An object or array with a secret somewhere inside."""
    SECRET = 2
    """A text that is or holds a secret."""


class _Analysis:
    """Follows secrets through one program."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str]] = []
        self._by_type: dict[type, Callable[..., Taint]] = {
            n.Identity: lambda node, dot, names: dot,
            n.Literal: lambda node, dot, names: Taint.CLEAN,
            n.Variable: self._variable,
            n.Index: self._index,
            n.Text: self._text,
            n.Format: self._format,
            n.Object: self._object,
            n.Array: self._array,
            n.Binary: self._binary,
            n.Pipe: self._pipe,
            n.Comma: self._either,
            n.If: self._if,
            n.Try: self._either,
            n.Bind: self._bind,
            n.Assign: self._assign,
            n.Call: self._call,
        }

    def visit(self, node: n.Node, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        """Return what a sub-tree's result may hold."""
        method = self._by_type.get(type(node))
        if method is not None:
            return method(node, dot, names)
        self._clean(node, dot, names, _what(node))
        return Taint.CLEAN

    def _clean(
        self, node: n.Node, dot: Taint, names: Mapping[str, Taint], what: str, offset: int = 0
    ) -> None:
        """Demand that no part of a sub-tree holds a secret."""
        if dot or any(self.visit(child, dot, names) for child in children(node)):
            self._refuse(what, offset)

    def _refuse(self, what: str, offset: int = 0) -> None:
        self.problems.append((offset, f"{what} cannot work on a secret: {_WHY}"))

    def _variable(self, node: n.Variable, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        if node.name == SECRETS:
            self.problems.append((node.offset, "name one secret, such as $secrets.token"))
        return names.get(node.name, Taint.CLEAN)

    def _index(self, node: n.Index, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        if secret_path(node) is not None:
            return Taint.SECRET
        if self.visit(node.key, dot, names):
            self._refuse("a path")
        target = self.visit(node.target, dot, names)
        if target is Taint.SECRET:
            self._refuse("a path that is not constant", _offset(node))
        return Taint.SECRET if target else Taint.CLEAN

    def _text(self, node: n.Text, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        found = max((self.visit(part, dot, names) for part in _parts(node)), default=Taint.CLEAN)
        if not found:
            return Taint.CLEAN
        if node.format not in ENCODERS:
            self._refuse(f"@{node.format}")
        if found is Taint.HOLDER:
            self._refuse("a text made of an object or array")
        return Taint.SECRET

    def _format(self, node: n.Format, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        if dot is Taint.HOLDER or (dot and node.name not in ENCODERS):
            self._refuse(f"@{node.name}", node.offset)
        return dot

    def _object(self, node: n.Object, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        found = Taint.CLEAN
        for key, value in node.pairs:
            if self.visit(key, dot, names):
                self._refuse("the name of a member")
            held = dot if value is None else self.visit(value, dot, names)
            found = max(found, held)
        return Taint.HOLDER if found else Taint.CLEAN

    def _array(self, node: n.Array, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        held = Taint.CLEAN if node.body is None else self.visit(node.body, dot, names)
        return Taint.HOLDER if held else Taint.CLEAN

    def _binary(self, node: n.Binary, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        sides = [self.visit(side, dot, names) for side in (node.left, node.right)]
        merges = node.operator == "*" and Taint.SECRET not in sides
        if any(sides) and node.operator != "+" and not merges:
            self._refuse(f"the operator {node.operator}")
        return max(sides)

    def _pipe(self, node: n.Pipe, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        return self.visit(node.right, self.visit(node.left, dot, names), names)

    def _either(self, node: n.Node, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        found = (self.visit(child, dot, names) for child in children(node))
        return max(found, default=Taint.CLEAN)

    def _if(self, node: n.If, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        if self.visit(node.condition, dot, names):
            self._refuse("a condition")
        otherwise = dot if node.otherwise is None else self.visit(node.otherwise, dot, names)
        return max(self.visit(node.then, dot, names), otherwise)

    def _bind(self, node: n.Bind, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        source = self.visit(node.source, dot, names)
        if source and not all(isinstance(p, n.VariablePattern) for p in node.patterns):
            self._refuse("destructuring")
        bound = {name: source for p in node.patterns for name in pattern_variables(p)}
        if SECRETS in bound:
            self._refuse("another variable named $secrets")
        return self.visit(node.body, dot, {**names, **bound})

    def _assign(self, node: n.Assign, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        value = self.visit(node.value, dot, names)
        if dot is Taint.SECRET or (value and node.operator != "="):
            self._refuse(f"the operator {node.operator}")
        self.visit(node.target, Taint.CLEAN, names)
        return Taint.HOLDER if value or dot else Taint.CLEAN

    def _call(self, node: n.Call, dot: Taint, names: Mapping[str, Taint]) -> Taint:
        if node.name in _CONVERSIONS and not node.arguments and dot is not Taint.HOLDER:
            return dot
        if node.name in _EACH and len(node.arguments) == 1 and not dot:
            held = self.visit(node.arguments[0], Taint.CLEAN, names)
            return Taint.HOLDER if held else Taint.CLEAN
        self._clean(node, dot, names, node.name, node.offset)
        return Taint.CLEAN


def secret_problems(tree: n.Node) -> list[tuple[int, str]]:
    """Return what a program wants to do with secrets and cannot, with offsets."""
    analysis = _Analysis()
    try:
        analysis.visit(tree, Taint.CLEAN, {})
    except RecursionError:
        return [(0, "the expression is nested too deeply")]
    return analysis.problems


def secret_path(node: n.Node) -> list[str] | None:
    """Return the constant path of ``$secrets.name.key``; None for any other node."""
    keys: list[str] = []
    while isinstance(node, n.Index) and not node.optional:
        key = constant_text(node.key)
        if key is None:
            return None
        keys.append(key)
        node = node.target
    is_secret = isinstance(node, n.Variable) and node.name == SECRETS
    return keys[::-1] if keys and is_secret else None


def constant_text(node: n.Node) -> str | None:
    """Return the text that a node always gives, None if there is no such text."""
    if isinstance(node, n.Literal) and isinstance(node.value, str):
        return node.value
    if isinstance(node, n.Text) and all(isinstance(part, str) for part in node.parts):
        return "".join(str(part) for part in node.parts)
    return None


def with_variables(node: n.Node) -> n.Node:
    """Return the tree with a variable of its own in place of each secret value."""
    path = secret_path(node)
    if path is not None:
        return n.Variable(VARIABLE + path_of(path), _offset(node))
    members = {name: _replaced(getattr(node, name)) for name in node.__struct_fields__}
    return type(node)(**members)


def _replaced(value: object) -> object:
    if isinstance(value, n.Node):
        return with_variables(value)
    return tuple(_replaced(item) for item in value) if isinstance(value, tuple) else value


def _parts(node: n.Text) -> Iterator[n.Node]:
    return (part for part in node.parts if isinstance(part, n.Node))


def _offset(node: n.Node) -> int:
    while isinstance(node, n.Index):
        node = node.target
    return node.offset if isinstance(node, n.Variable) else 0


def _what(node: n.Node) -> str:
    names = {
        n.Iterate: "an iteration",
        n.Slice: "a slice",
        n.Negate: "the operator -",
        n.Reduce: "reduce",
        n.Foreach: "foreach",
        n.Function: "a function of its own",
    }
    return names.get(type(node), "this expression")
