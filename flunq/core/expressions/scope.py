"""Which names a program defines, needs and may not use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flunq.core.expressions import nodes as n
from flunq.core.expressions.errors import ExpressionSyntaxError
from flunq.core.expressions.names import FORBIDDEN, FORMATS, FUNCTIONS, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Scope(NamedTuple):
    """What is visible at one place of a program."""

    variables: frozenset[str]
    functions: frozenset[tuple[str, int]]
    labels: frozenset[str]


class Names(NamedTuple):
    """What a program refers to, and what is wrong with it."""

    variables: frozenset[str]
    reads_input: bool
    problems: tuple[tuple[int, str], ...]


_EMPTY = Scope(frozenset(), frozenset(), frozenset())


class _Resolver:
    """Walks a tree once, keeping the scope at each node."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.reads_input = False
        self.problems: list[tuple[int, str]] = []
        self._special: dict[type, Callable[[Any, Scope], None]] = {
            n.Identity: self._identity,
            n.Variable: self._variable,
            n.Format: self._format,
            n.Text: self._text,
            n.Object: self._object,
            n.If: self._if,
            n.Call: self._call,
            n.Bind: self._bind,
            n.Reduce: self._reduce,
            n.Foreach: self._foreach,
            n.Function: self._function,
            n.Label: self._label,
            n.Break: self._break,
            n.Assign: self._updates,
            n.Pipe: self._pipe,
        }

    def visit(self, node: n.Node, scope: Scope) -> None:
        special = self._special.get(type(node))
        if special is not None:
            special(node, scope)
            return
        for child in children(node):
            self.visit(child, scope)

    def _identity(self, node: n.Identity, scope: Scope) -> None:
        self.reads_input = True

    def _pipe(self, node: n.Pipe, scope: Scope) -> None:
        self.visit(node.left, scope)
        before = self.reads_input
        self.visit(node.right, scope)
        self.reads_input = before

    def _variable(self, node: n.Variable, scope: Scope) -> None:
        if node.name in scope.variables:
            return
        reason = FORBIDDEN.get("$" + node.name)
        if reason:
            self._problem(node.offset, f"${node.name} is not available in a workflow: {reason}")
        self.variables.add(node.name)

    def _format(self, node: n.Format, scope: Scope) -> None:
        self.reads_input = True
        if node.name not in FORMATS:
            self._unknown(node.offset, "@" + node.name, [f"@{name}" for name in FORMATS])

    def _text(self, node: n.Text, scope: Scope) -> None:
        for part in node.parts:
            if not isinstance(part, str):
                self.visit(part, scope)

    def _object(self, node: n.Object, scope: Scope) -> None:
        for key, value in node.pairs:
            self.visit(key, scope)
            if value is None:
                self.reads_input = True
            else:
                self.visit(value, scope)

    def _if(self, node: n.If, scope: Scope) -> None:
        self.visit(node.condition, scope)
        self.visit(node.then, scope)
        if node.otherwise is None:
            self.reads_input = True
        else:
            self.visit(node.otherwise, scope)

    def _call(self, node: n.Call, scope: Scope) -> None:
        arity = len(node.arguments)
        local = (node.name, arity) in scope.functions
        if not local:
            self._builtin(node, arity, scope)
        if local or (node.name, arity) not in _INPUTLESS:
            self.reads_input = True
        for argument in node.arguments:
            self.visit(argument, scope)

    def _builtin(self, node: n.Call, arity: int, scope: Scope) -> None:
        name = node.name
        if name in FORBIDDEN:
            self._problem(node.offset, f"{name} is not available in a workflow: {FORBIDDEN[name]}")
            return
        arities = set(FUNCTIONS.get(name, ()))
        arities |= {other for known, other in scope.functions if known == name}
        if arity in arities:
            return
        if arities:
            counts = " or ".join(str(count) for count in sorted(arities))
            self._problem(node.offset, f"{name} takes {counts} arguments, not {arity}")
            return
        known_names = [*FUNCTIONS, *(known for known, _ in scope.functions)]
        self._unknown(node.offset, name, known_names)

    def _unknown(self, offset: int, name: str, known: list[str]) -> None:
        guess = nearest(name, known)
        hint = f", did you mean {guess}?" if guess else ""
        self._problem(offset, f"{name} is not defined{hint}")

    def _problem(self, offset: int, message: str) -> None:
        self.problems.append((offset, message))

    def _bind(self, node: n.Bind, scope: Scope) -> None:
        self.visit(node.source, scope)
        self.visit(node.body, self._patterns(node.patterns, scope))

    def _reduce(self, node: n.Reduce, scope: Scope) -> None:
        self.visit(node.source, scope)
        self.visit(node.start, scope)
        self._hidden_input(node.update, self._patterns(node.patterns, scope))

    def _foreach(self, node: n.Foreach, scope: Scope) -> None:
        self.visit(node.source, scope)
        self.visit(node.start, scope)
        inner = self._patterns(node.patterns, scope)
        self._hidden_input(node.update, inner)
        if node.extract is not None:
            self._hidden_input(node.extract, inner)

    def _hidden_input(self, node: n.Node, scope: Scope) -> None:
        before = self.reads_input
        self.visit(node, scope)
        self.reads_input = before

    def _patterns(self, patterns: tuple[n.Pattern, ...], scope: Scope) -> Scope:
        bound: set[str] = set()
        for pattern in patterns:
            bound.update(pattern_variables(pattern))
        inner = scope._replace(variables=scope.variables | bound)
        for pattern in patterns:
            for key in pattern_keys(pattern):
                self.visit(key, inner)
        return inner

    def _function(self, node: n.Function, scope: Scope) -> None:
        here = scope._replace(functions=scope.functions | {(node.name, len(node.parameters))})
        closures = {(name.removeprefix("$"), 0) for name in node.parameters}
        values = {name[1:] for name in node.parameters if name.startswith("$")}
        inner = here._replace(
            variables=here.variables | values, functions=here.functions | closures
        )
        self.visit(node.body, inner)
        self.visit(node.rest, here)

    def _label(self, node: n.Label, scope: Scope) -> None:
        self.visit(node.body, scope._replace(labels=scope.labels | {node.name}))

    def _break(self, node: n.Break, scope: Scope) -> None:
        if node.name not in scope.labels:
            self._problem(node.offset, f"there is no label ${node.name} to break to")

    def _updates(self, node: n.Assign, scope: Scope) -> None:
        self.reads_input = True
        self.visit(node.target, scope)
        self.visit(node.value, scope)


_INPUTLESS = frozenset(
    (
        ("empty", 0),
        ("now", 0),
        ("nan", 0),
        ("infinite", 0),
        ("range", 1),
        ("range", 2),
        ("range", 3),
    )
)
"""Functions that never look at their input; their arguments may."""


def children(node: n.Node) -> Iterator[n.Node]:
    """Yield the direct sub-trees of a node, patterns left out."""
    for name in node.__struct_fields__:
        yield from _nodes_in(getattr(node, name))


def _nodes_in(value: object) -> Iterator[n.Node]:
    if isinstance(value, (n.VariablePattern, n.ArrayPattern, n.ObjectPattern)):
        return
    if isinstance(value, n.Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)


def pattern_variables(pattern: n.Pattern) -> Iterator[str]:
    """Yield the names that a pattern binds."""
    if isinstance(pattern, n.VariablePattern):
        yield pattern.name
    elif isinstance(pattern, n.ArrayPattern):
        for item in pattern.items:
            yield from pattern_variables(item)
    else:
        for name, _, inner in pattern.items:
            if name is not None:
                yield name
            if inner is not None:
                yield from pattern_variables(inner)


def pattern_keys(pattern: n.Pattern) -> Iterator[n.Node]:
    """Yield the key expressions inside a pattern."""
    if isinstance(pattern, n.ArrayPattern):
        for item in pattern.items:
            yield from pattern_keys(item)
    elif isinstance(pattern, n.ObjectPattern):
        for _, key, inner in pattern.items:
            yield key
            if inner is not None:
                yield from pattern_keys(inner)


def resolve(tree: n.Node) -> Names:
    """Return what the program refers to."""
    resolver = _Resolver()
    try:
        resolver.visit(tree, _EMPTY)
    except RecursionError:
        raise ExpressionSyntaxError("the expression is nested too deeply") from None
    return Names(
        frozenset(resolver.variables), resolver.reads_input, tuple(sorted(resolver.problems))
    )
