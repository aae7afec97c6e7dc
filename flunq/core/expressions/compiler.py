"""Compiles the everyday subset of jq to closures.

A program outside the subset is not an error: ``compile_tree`` returns None and the
expression engine evaluates it. What is compiled gives the results of jq 1.8; the one
intended difference is that whole numbers stay exact where jq rounds them to 53 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from flunq.core.expressions import accesses, calls, combining, loops, updates
from flunq.core.expressions import nodes as n
from flunq.core.expressions.bounds import needs_guard
from flunq.core.expressions.code import (
    Code,
    Mode,
    One,
    Unsupported,
    collected,
    one,
    required,
    results,
)
from flunq.core.expressions.combining import first_or_null
from flunq.core.expressions.errors import BeyondTier0
from flunq.core.expressions.fuel import BUDGET, FUEL, Env, weigh
from flunq.core.expressions.functions import FORMAT_FUNCTIONS
from flunq.core.expressions.operators import ARITHMETIC, COMPARISONS, is_number, negate
from flunq.core.expressions.scope import pattern_variables

if TYPE_CHECKING:
    from flunq.core.json import JSON

Fast: TypeAlias = Callable[[Any, Mapping[str, Any]], Any]
Slots: TypeAlias = dict[str, str]

_NULL = n.Literal(None)


class Compiler:
    """Compiles one tree; ``guarded`` programs spend fuel while they run."""

    def __init__(self, *, guarded: bool) -> None:
        self.guarded = guarded
        self.binds = False
        self.yields = False
        self._slots = 0
        self._by_type: dict[type, Callable[[Any, Slots], Code]] = {
            n.Identity: lambda node, slots: one(accesses.identity),
            n.Literal: self._literal,
            n.Text: self._text,
            n.Format: self._format,
            n.Variable: self._variable,
            n.Location: self._location,
            n.Index: self._index,
            n.Slice: self._slice,
            n.Iterate: self._iterate,
            n.Try: self._try,
            n.Negate: self._negate,
            n.Array: self._array,
            n.Object: self._object,
            n.Binary: self._binary,
            n.Pipe: self._pipe,
            n.Comma: self._comma,
            n.If: self._if,
            n.Bind: self._bind,
            n.Reduce: self._reduce,
            n.Foreach: self._foreach,
            n.Assign: lambda node, slots: updates.compile_assignment(self, node, slots),
            n.Call: lambda node, slots: calls.compile_call(self, node, slots),
        }

    def compile(self, node: n.Node, slots: Slots) -> Code:
        """Return the code of a sub-tree, or raise Unsupported."""
        method = self._by_type.get(type(node))
        if method is None:
            raise Unsupported
        code = method(node, slots)
        self.yields = self.yields or code.mode is Mode.MANY
        return code

    # -- constants and text

    def _literal(self, node: n.Literal, slots: Slots) -> Code:
        if not node.exact or (type(node.value) is float and node.value - node.value != 0):
            raise Unsupported
        return one(accesses.constant(node.value))

    def _variable(self, node: n.Variable, slots: Slots) -> Code:
        return one(accesses.variable(slots.get(node.name, node.name)))

    def _location(self, node: n.Location, slots: Slots) -> Code:
        return one(accesses.constant({"file": "<top-level>", "line": node.line}))

    def _text(self, node: n.Text, slots: Slots) -> Code:
        render = self._render(node.format)
        parts: list[str | One] = [
            part if isinstance(part, str) else required(self.compile(part, slots))
            for part in node.parts
        ]
        return one(combining.text(parts, render))

    def _render(self, style: str) -> Callable[[Any], str]:
        if style not in FORMAT_FUNCTIONS:
            raise Unsupported
        return FORMAT_FUNCTIONS[style]

    def _format(self, node: n.Format, slots: Slots) -> Code:
        render = self._render(node.name)
        if not self.guarded:
            return one(lambda value, env: render(value))
        return one(calls.weighed(render, weigh))

    # -- paths

    def _index(self, node: n.Index, slots: Slots) -> Code:
        if not node.optional:
            path = self._constant_path(node, slots)
            if path is not None:
                return one(path)
        target, key = self.compile(node.target, slots), self.compile(node.key, slots)
        return accesses.index(target, key, optional=node.optional)

    def _constant_path(self, node: n.Node, slots: Slots) -> One | None:
        keys: list[Any] = []
        while isinstance(node, n.Index) and not node.optional:
            key = _constant_key(node.key)
            if key is None:
                break
            keys.append(key)
            node = node.target
        if not keys:
            return None
        steps = tuple(reversed(keys))
        if isinstance(node, n.Identity):
            return accesses.input_path(steps)
        if isinstance(node, n.Variable):
            return accesses.variable_path(slots.get(node.name, node.name), steps)
        target = self.compile(node, slots)
        return accesses.target_path(target.run, steps) if target.is_one else None

    def _slice(self, node: n.Slice, slots: Slots) -> Code:
        start = required(self.compile(node.start or _NULL, slots))
        end = required(self.compile(node.end or _NULL, slots))
        target = self.compile(node.target, slots)
        return accesses.slice_of(target, start, end, optional=node.optional)

    def _iterate(self, node: n.Iterate, slots: Slots) -> Code:
        return accesses.iterate(self.compile(node.target, slots), optional=node.optional)

    # -- operators

    def _negate(self, node: n.Negate, slots: Slots) -> Code:
        if isinstance(node.operand, n.Literal) and is_number(node.operand.value):
            literal = node.operand
            return self._literal(n.Literal(negate(literal.value), literal.exact), slots)
        return combining.pipe(
            self.compile(node.operand, slots), one(lambda value, env: negate(value))
        )

    def _binary(self, node: n.Binary, slots: Slots) -> Code:
        left = self.compile(node.left, slots)
        right = self.compile(node.right, slots)
        operator = node.operator
        if operator == "and":
            return combining.both_true(left, right)
        if operator == "or":
            return combining.either_true(left, right)
        if operator == "//":
            return combining.alternative(left, right)
        special = self._constant_right(operator, left, node.right)
        if special is not None:
            return one(special)
        if operator in COMPARISONS:
            return self._apply(COMPARISONS[operator], left, right, deep=True)
        return self._apply(ARITHMETIC[operator], left, right, deep=operator in "-*")

    def _apply(self, operator: combining.Operator, left: Code, right: Code, *, deep: bool) -> Code:
        if self.guarded:
            return combining.apply_weighed(operator, left, right, deep=deep)
        return combining.apply(operator, left, right)

    def _constant_right(self, operator: str, left: Code, right: n.Node) -> One | None:
        if not left.is_one or not isinstance(right, n.Literal):
            return None
        if operator == "==":
            return combining.equals_constant(left.run, right.value)
        if operator == "+" and type(right.value) is int:
            return combining.add_constant(left.run, right.value)
        return None

    # -- constructions

    def _array(self, node: n.Array, slots: Slots) -> Code:
        if node.body is None:
            return one(accesses.constant([]))
        body = node.body
        if isinstance(body, n.Pipe) and isinstance(body.left, n.Iterate):
            each = body.left
            target = self.compile(each.target, slots)
            if target.is_one and not each.optional:
                return combining.pipe(target, loops.map_items(self.compile(body.right, slots)))
        return one(collected(self.compile(body, slots)))

    def _object(self, node: n.Object, slots: Slots) -> Code:
        names = [str(key.value) for key, _ in node.pairs if isinstance(key, n.Literal)]
        pairs = [(key, self._object_value(key, item, slots)) for key, item in node.pairs]
        unique = len(set(names)) == len(node.pairs)
        if unique and pairs and all(item.is_one for _, item in pairs):
            members = zip(names, (item.run for _, item in pairs), strict=True)
            return one(combining.constant_object(list(members)))
        if not pairs:
            return one(accesses.constant({}))
        return combining.computed_object([(self.compile(key, slots), item) for key, item in pairs])

    def _object_value(self, key: n.Node, item: n.Node | None, slots: Slots) -> Code:
        if item is not None:
            return self.compile(item, slots)
        if not isinstance(key, n.Literal):
            required(self.compile(key, slots))
        return self.compile(n.Index(n.Identity(), key, False), slots)

    # -- control

    def _pipe(self, node: n.Pipe, slots: Slots) -> Code:
        return combining.pipe(self.compile(node.left, slots), self.compile(node.right, slots))

    def _comma(self, node: n.Comma, slots: Slots) -> Code:
        return combining.comma(self.compile(node.left, slots), self.compile(node.right, slots))

    def _if(self, node: n.If, slots: Slots) -> Code:
        return combining.condition(
            self.compile(node.condition, slots),
            self.compile(node.then, slots),
            self.compile(node.otherwise or n.Identity(), slots),
        )

    def _try(self, node: n.Try, slots: Slots) -> Code:
        handler = None if node.handler is None else self.compile(node.handler, slots)
        return combining.attempt(self.compile(node.body, slots), handler)

    # -- bindings

    def _scope(self, patterns: tuple[n.Pattern, ...], slots: Slots) -> tuple[Slots, loops.Binder]:
        if len(patterns) != 1:
            raise Unsupported
        names = list(pattern_variables(patterns[0]))
        if len(set(names)) != len(names):
            raise Unsupported
        self.binds = True
        inner = dict(slots)
        for name in names:
            self._slots += 1
            inner[name] = f"{name}%{self._slots}"
        return inner, loops.binder(patterns[0], inner)

    def _bind(self, node: n.Bind, slots: Slots) -> Code:
        inner, store = self._scope(node.patterns, slots)
        return loops.bind(self.compile(node.source, slots), store, self.compile(node.body, inner))

    def _reduce(self, node: n.Reduce, slots: Slots) -> Code:
        inner, store = self._scope(node.patterns, slots)
        source = results(self.compile(node.source, slots))
        start = required(self.compile(node.start, slots))
        return loops.reduce(source, store, start, self.compile(node.update, inner))

    def _foreach(self, node: n.Foreach, slots: Slots) -> Code:
        inner, store = self._scope(node.patterns, slots)
        source = results(self.compile(node.source, slots))
        start = required(self.compile(node.start, slots))
        update = results(self.compile(node.update, inner))
        extract = None if node.extract is None else results(self.compile(node.extract, inner))
        return loops.foreach(source, store, start, update, extract)


def _constant_key(key: n.Node) -> str | int | float | None:
    if isinstance(key, n.Literal) and key.exact and type(key.value) in (str, int, float):
        return key.value  # type: ignore[return-value]
    if isinstance(key, n.Negate) and isinstance(key.operand, n.Literal):
        value = key.operand.value
        return -value if type(value) is int else None
    return None


def _with_environment(run: One) -> Fast:
    def evaluate(value: JSON, variables: Mapping[str, JSON]) -> JSON:
        return run(value, {**variables})  # type: ignore[no-any-return]

    return evaluate


def _with_fuel(run: One) -> Fast:
    def evaluate(value: JSON, variables: Mapping[str, JSON]) -> JSON:
        env: Env = {**variables, FUEL: [BUDGET]}
        result = run(value, env)
        weigh(result, env)
        return result  # type: ignore[no-any-return]

    return evaluate


def compile_tree(tree: n.Node) -> Fast | None:
    """Return the pure evaluation of a program, None when the engine must do it."""
    try:
        compiler = Compiler(guarded=needs_guard(tree))
        code = compiler.compile(tree, {})
    except (Unsupported, BeyondTier0, RecursionError, OverflowError):
        return None
    run = first_or_null(code)
    if compiler.guarded or compiler.yields:
        return _with_fuel(run)
    return _with_environment(run) if compiler.binds else run  # type: ignore[return-value]
