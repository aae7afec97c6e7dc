"""Expressions of the old language, rewritten for the new one.

``fn:name`` becomes the text of the expression function, ``$CONST`` the place where constants are
kept, ``$SECRETS`` the variable ``$secrets``. Texts inside an expression stay as they are.
"""

from __future__ import annotations

import json
import re
from textwrap import indent
from typing import TYPE_CHECKING, Any

from flunq.core.expressions import ExpressionSyntaxError, compile_runtime
from flunq.core.expressions.syntax import Source, enclosed, segments
from flunq.core.reading.problems import quoted
from flunq.core.reading.rules import STANDARD_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flunq.core.converting.findings import Node

CONSTANTS = "$workflow.definition.document.metadata.constants"
_VARIABLES = {"$CONST": CONSTANTS, "$SECRETS": "$secrets"}
_TOKEN = re.compile(
    r"""(?P<text>")|(?P<comment>\#[^\n]*)|(?P<variable>\$\w+)|(?P<function>(?<![\w.$])fn:)"""
    r"|(?P<open>\()|(?P<close>\))|(?P<other>\w+|.)",
    re.DOTALL,
)
_IN_TEXT = re.compile(r'[^"\\]+|\\(?P<interpolation>\()|\\.|(?P<end>")', re.DOTALL)
_MAX_NESTED = 20
_MAX_LENGTH = 100_000


class Rewriter:
    """Rewrites the expressions of one document."""

    def __init__(self, functions: Mapping[str, str]) -> None:
        self._functions = functions
        """Expression functions: their operations by name."""
        self._longest_first = sorted(functions, key=len, reverse=True)

    def bare(self, node: Node, *, variables: tuple[str, ...] = ()) -> str:
        """Return a field that is an expression, without ``${ }``."""
        return self._checked(node, _inner(node.value), variables)

    def field(self, node: Node | None, *, variables: tuple[str, ...] = ()) -> str:
        """Return an optional field that is an expression, without ``${ }``; empty if absent."""
        if node is None or not node.expect(str):
            return ""
        return self.bare(node, variables=variables)

    def value(self, node: Node) -> Any:
        """Return a free value with the expressions inside it rewritten."""
        if isinstance(node.value, dict):
            return {name: self.value(member) for name, member in node.members()}
        if isinstance(node.value, list):
            return [self.value(node.child(i, item)) for i, item in enumerate(node.value)]
        return self._text(node) if isinstance(node.value, str) else node.value

    def _text(self, node: Node) -> str:
        text: str = node.value
        if "${" not in text:
            return text
        if enclosed(text) is not None:
            return enclose(self.bare(node))
        return "".join(
            enclose(self._checked(node, part.text, ())) if isinstance(part, Source) else part
            for part in segments(text)
        )

    def _checked(self, node: Node, text: str, variables: tuple[str, ...]) -> str:
        """Return the new expression, or one that fails when it is evaluated."""
        try:
            rewritten = _Rewriting(self._functions, self._longest_first).run(text.strip())
            read = compile_runtime(enclose(rewritten)).variables
            # Single secrets are listed as secrets.NAME.
            known = {*STANDARD_VARIABLES, *variables}
            unknown = {name for name in read if name.partition(".")[0] not in known}
        except (_RewriteError, ExpressionSyntaxError) as error:
            node.problem(f"the expression cannot be used: {error}", "expression")
            return _failing(text)
        if unknown:
            names = ", ".join(f"${name}" for name in sorted(unknown))
            node.problem(f"the expression reads {names}, which does not exist", "expression")
            return _failing(text)
        return rewritten


def enclose(expression: str) -> str:
    """Return an expression between ``${`` and ``}``."""
    if "\n" in expression:
        return "${\n" + indent(expression, "  ") + "\n}"
    return f"${{ {expression} }}"


def literal(value: Any) -> str:
    """Return a value as it is written in an expression."""
    return json.dumps(value, ensure_ascii=False)


def _inner(text: str) -> str:
    source = enclosed(text)
    return text if source is None else source.text


def _failing(text: str) -> str:
    return f"error({literal(f'this expression could not be converted: {text.strip()}')})"


class _RewriteError(ValueError):
    """The expression refers to something that is not there."""


class _Rewriting:
    """One pass over one expression."""

    def __init__(
        self, functions: Mapping[str, str], longest_first: list[str], depth: int = 0
    ) -> None:
        self._functions = functions
        self._longest_first = longest_first
        self._depth = depth
        self._text = ""
        self._at = 0

    def run(self, text: str) -> str:
        """Return the rewritten expression."""
        if self._depth > _MAX_NESTED:
            raise _RewriteError("its functions refer to each other for ever")
        self._text, self._at = text, 0
        rewritten = self._code(until_closed=False)
        if len(rewritten) > _MAX_LENGTH:
            raise _RewriteError("its functions make it too long")
        return rewritten

    def _code(self, *, until_closed: bool) -> str:
        parts: list[str] = []
        open_parentheses = 0
        while found := _TOKEN.match(self._text, self._at):
            self._at = found.end()
            kind = found.lastgroup or ""
            parts.append(self._token(kind, found.group()))
            open_parentheses += (kind == "open") - (kind == "close")
            if until_closed and open_parentheses < 0:
                break
        return "".join(parts)

    def _token(self, kind: str, token: str) -> str:
        if kind == "text":
            return token + self._string()
        if kind == "variable":
            return _VARIABLES.get(token, token)
        if kind == "comment":  # it would swallow what is written behind it
            return ""
        return self._function() if kind == "function" else token

    def _string(self) -> str:
        parts: list[str] = []
        while found := _IN_TEXT.match(self._text, self._at):
            self._at = found.end()
            parts.append(found.group())
            if found.group("end"):
                break
            if found.group("interpolation"):
                parts.append(self._code(until_closed=True))
        return "".join(parts)

    def _function(self) -> str:
        rest = self._text[self._at :]
        for name in self._longest_first:
            if rest.startswith(name):
                self._at += len(name)
                nested = _Rewriting(self._functions, self._longest_first, self._depth + 1)
                return f"({nested.run(_inner(self._functions[name]).strip())})"
        raise _RewriteError(f"there is no expression function {quoted(rest.split('}')[0].strip())}")
