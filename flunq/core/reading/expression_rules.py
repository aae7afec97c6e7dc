"""The rules about expressions: syntax, the variables of the place, the secrets they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flunq.core.expressions import nodes
from flunq.core.expressions.errors import ExpressionSyntaxError
from flunq.core.expressions.parser import parse
from flunq.core.expressions.scope import children, resolve
from flunq.core.expressions.secrets import constant_text, secret_problems
from flunq.core.expressions.syntax import Source, check, enclosed, runtime_source, segments
from flunq.core.reading.explain import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.reading.visit import Scope, Visit

_PROGRAMS = ("/run/script/code", "/run/shell/command", "/run/container/command")
"""Texts in other languages, which write ``${ }`` too."""
_MEANT = re.compile(r"""\s*(?:\.|"|\$[A-Za-z_])""")
"""How an expression inside of a text begins, and nothing else would."""
_SHARED = ("/use/authentications/", "/use/errors/", "/use/retries/", "/use/timeouts/")


def check_expression(visit: Visit, text: str, pointer: str, scope: Scope, *, bare: bool) -> None:
    """Check syntax, variables and secrets of an expression; ``bare`` ones need no ``${ }``."""
    source = enclosed(text)
    if source is None:
        if not bare:
            _check_embedded(visit, text, pointer, scope)
            return
        if text.lstrip().startswith("${"):
            message = "not a valid expression: '${' is not closed by a '}' at the end"
            visit.complain(pointer, message, "expression-syntax")
            return
        source = runtime_source(text)
    _check_source(visit, source, pointer, scope)


def _check_embedded(visit: Visit, text: str, pointer: str, scope: Scope) -> None:
    """Check expressions inside of a text; what can be something else is left alone."""
    if pointer.endswith(_PROGRAMS):
        return
    sources = [piece for piece in segments(text) if isinstance(piece, Source)]
    wrong = [source for source in sources if check(source.text, bare=True)]
    for source in wrong or sources:
        if not wrong or _MEANT.match(source.text):
            _check_source(visit, source, pointer, scope)


def _check_source(visit: Visit, source: Source, pointer: str, scope: Scope) -> None:
    try:
        tree = parse(source.text)
        names = resolve(tree)
    except ExpressionSyntaxError as error:
        problems = [(error.offset, error.message)]
    else:
        problems = list(names.problems)
        _check_variables(visit, tree, names.variables - scope.variables, pointer, scope, source)
        if "secrets" in names.variables:
            _check_secrets(visit, tree, pointer, source.offset)
            problems += secret_problems(tree)
    for offset, message in problems:
        visit.complain(
            pointer, f"not a valid expression: {message}", "expression-syntax",
            offset=source.offset + offset,
        )  # fmt: skip


def _check_variables(
    visit: Visit, tree: Any, unknown: frozenset[str], pointer: str, scope: Scope, source: Any
) -> None:
    if pointer.startswith(_SHARED):
        return  # evaluated where it is referred to, with the variables of that place
    for name in sorted(unknown - {"ENV", "__prog_args"}):
        offset = next((found.offset for found in _variables(tree) if found.name == name), 0)
        meant = nearest(name, scope.variables)
        message = f"unknown variable ${name}" + (f"; did you mean ${meant}?" if meant else "")
        hint = f"known here: {', '.join(f'${known}' for known in sorted(scope.variables))}"
        visit.complain(
            pointer, message, "unknown-variable",
            hint=None if meant else hint, offset=source.offset + offset,
        )  # fmt: skip


def _check_secrets(visit: Visit, tree: Any, pointer: str, start: int) -> None:
    declared = visit.names_of("secrets")
    for node in _walk(tree):
        if not isinstance(node, nodes.Index) or not isinstance(node.target, nodes.Variable):
            continue
        name = constant_text(node.key)
        if node.target.name != "secrets" or name is None or name in declared:
            continue
        message = f"unknown secret {shown(name)}{visit.suggestion(name, declared)}"
        visit.complain(
            pointer, message, "unknown-secret",
            hint="declare it in 'use.secrets'", offset=start + node.target.offset,
        )  # fmt: skip


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def _variables(tree: nodes.Node) -> Iterator[nodes.Variable]:
    return (node for node in _walk(tree) if isinstance(node, nodes.Variable))
