"""A parser for the whole jq language."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from flunq.core.expressions import nodes as n
from flunq.core.expressions.errors import ExpressionSyntaxError
from flunq.core.expressions.lexer import Token, tokenize
from flunq.core.expressions.names import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 160
MAX_LENGTH = 200_000

_LEVELS: dict[str, tuple[int, str]] = {
    "//": (1, "right"),
    **dict.fromkeys(("=", "|=", "+=", "-=", "*=", "/=", "%=", "//="), (2, "none")),
    "or": (3, "left"),
    "and": (4, "left"),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), (5, "none")),
    **dict.fromkeys(("+", "-"), (6, "left")),
    **dict.fromkeys(("*", "/", "%"), (7, "left")),
}
_ASSIGNMENTS = frozenset(("=", "|=", "+=", "-=", "*=", "/=", "%=", "//="))
_CONSTANTS: dict[str, n.Literal] = {
    "true": n.Literal(True),
    "false": n.Literal(False),
    "null": n.Literal(None),
}
_IDENTITY = n.Identity()


class Parser:
    """Recursive descent over the tokens of one program."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokenize(source)
        self._position = 0
        self._depth = 0
        self._terms: dict[str, Callable[[], n.Node]] = {
            "if": self._if,
            "reduce": self._reduce,
            "foreach": self._foreach,
            "try": self._try,
            "break": self._break,
        }

    def parse(self) -> n.Node:
        """Return the tree, or raise ExpressionSyntaxError."""
        if self._next.kind == "eof":
            raise ExpressionSyntaxError("the expression is empty", 0)
        if self._next.text in ("import", "include", "module") and self._next.kind == "keyword":
            raise ExpressionSyntaxError(
                f"{self._next.text!r} is not available in a workflow", self._next.offset
            )
        tree = self._pipe()
        if self._next.kind != "eof":
            self._unexpected()
        return tree

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _advance(self) -> Token:
        token = self._tokens[self._position]
        self._position += 1
        return token

    def _is(self, text: str, kind: str = "symbol") -> bool:
        token = self._tokens[self._position]
        return token.text == text and token.kind == kind

    def _accept(self, text: str, kind: str = "symbol") -> bool:
        if self._is(text, kind):
            self._position += 1
            return True
        return False

    def _expect(self, text: str, kind: str = "symbol") -> None:
        if not self._accept(text, kind):
            self._unexpected(f"expected {text!r}")

    def _take(self, kind: str, what: str) -> str:
        if self._next.kind != kind:
            self._unexpected(f"expected {what}")
        return self._advance().text

    def _unexpected(self, wanted: str = "") -> None:
        token = self._next
        found = "the end of the expression" if token.kind == "eof" else repr(self._shown(token))
        message = f"unexpected {found}" + (f", {wanted}" if wanted else "")
        if token.text == "?//":
            message += " ('?//' is one symbol: write '? //')"
        raise ExpressionSyntaxError(message, token.offset)

    def _shown(self, token: Token) -> str:
        prefixes = {"field": ".", "variable": "$", "format": "@"}
        return prefixes.get(token.kind, "") + token.text

    # -- queries: pipes, commas, bindings

    def _pipe(self) -> n.Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionSyntaxError("the expression is nested too deeply", self._next.offset)
        stages = [self._comma()]
        while self._accept("|"):
            stages.append(self._comma())
        self._depth -= 1
        return _fold_right(stages)

    def _comma(self) -> n.Node:
        left = self._head()
        while self._accept(","):
            left = n.Comma(left, self._head())
        return left

    def _head(self) -> n.Node:
        if self._is("def", "keyword"):
            return self._function()
        if self._accept("label", "keyword"):
            name = self._take("variable", "a label such as $out")
            self._expect("|")
            return n.Label(name, self._pipe())
        source = self._expression()
        if not self._accept("as", "keyword"):
            return source
        patterns = self._patterns()
        self._expect("|")
        return n.Bind(source, patterns, self._pipe())

    def _function(self) -> n.Node:
        self._advance()
        name = self._take("name", "a function name")
        parameters: list[str] = []
        if self._accept("("):
            parameters.append(self._parameter())
            while self._accept(";"):
                parameters.append(self._parameter())
            self._expect(")")
        self._expect(":")
        body = self._pipe()
        self._expect(";")
        return n.Function(name, tuple(parameters), body, self._pipe())

    def _parameter(self) -> str:
        if self._next.kind == "variable":
            return "$" + self._advance().text
        return self._take("name", "a parameter name")

    # -- operators

    def _expression(self, level: int = 1) -> n.Node:
        left = self._postfix()
        while True:
            operator = self._next.text
            if self._next.kind not in ("symbol", "keyword") or operator not in _LEVELS:
                return left
            strength, associativity = _LEVELS[operator]
            if strength < level:
                return left
            self._advance()
            right = self._expression(strength if associativity == "right" else strength + 1)
            left = _binary(operator, left, right)
            if associativity == "none":
                self._refuse_chain(strength)

    def _refuse_chain(self, strength: int) -> None:
        token = self._next
        if token.kind == "symbol" and _LEVELS.get(token.text, (0, ""))[0] == strength:
            self._unexpected("comparisons and assignments do not chain: use parentheses")

    # -- terms

    def _postfix(self) -> n.Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionSyntaxError("the expression is nested too deeply", self._next.offset)
        term = self._term()
        while (longer := self._suffix(term)) is not None:
            term = longer
        self._depth -= 1
        return term

    def _suffix(self, target: n.Node) -> n.Node | None:
        token = self._next
        if token.kind == "field":
            self._advance()
            return n.Index(target, n.Literal(token.text), self._accept("?"))
        if token.kind != "symbol":
            return None
        if token.text == "?":
            self._advance()
            return n.Try(target, None)
        if token.text == "[":
            return self._bracket(target)
        if token.text == ".":
            self._advance()
            if self._next.kind in ("quote", "format"):
                return n.Index(target, self._string(), self._accept("?"))
            if self._is("["):
                return self._bracket(target, slices=False)
            self._unexpected("expected a field name")
        return None

    def _bracket(self, target: n.Node, *, slices: bool = True) -> n.Node:
        self._expect("[")
        if self._accept("]"):
            return n.Iterate(target, self._accept("?"))
        if slices and self._accept(":"):
            end = self._pipe()
            self._expect("]")
            return n.Slice(target, None, end, self._accept("?"))
        key = self._pipe()
        if slices and self._accept(":"):
            stop = None if self._is("]") else self._pipe()
            self._expect("]")
            return n.Slice(target, key, stop, self._accept("?"))
        self._expect("]")
        return n.Index(target, key, self._accept("?"))

    def _term(self) -> n.Node:
        token = self._next
        if token.kind == "symbol":
            return self._symbol_term()
        if token.kind == "keyword":
            if token.text not in self._terms:
                self._unexpected("expected a value")
            self._advance()
            return self._terms[token.text]()
        if token.kind == "field":
            self._advance()
            return n.Index(_IDENTITY, n.Literal(token.text), self._accept("?"))
        if token.kind == "variable":
            self._advance()
            return self._variable(token)
        return self._plain_term(token)

    def _plain_term(self, token: Token) -> n.Node:
        if token.kind == "number":
            self._advance()
            return _number(token.text)
        if token.kind == "name":
            return self._call()
        if token.kind == "quote":
            return self._string()
        if token.kind == "format":
            if self._tokens[self._position + 1].kind == "quote":
                return self._string()
            self._advance()
            return n.Format(token.text, token.offset)
        self._unexpected("expected a value")
        return _IDENTITY

    def _variable(self, token: Token) -> n.Node:
        if token.text == "__loc__":
            return n.Location(self._source.count("\n", 0, token.offset) + 1)
        return n.Variable(token.text, token.offset)

    def _symbol_term(self) -> n.Node:
        token = self._next
        if token.text == ".":
            return self._dot()
        if token.text not in ("..", "-", "(", "[", "{"):
            self._unexpected("expected a value")
        self._advance()
        if token.text == "..":
            return n.Call("recurse", (), token.offset)
        if token.text == "-":
            return n.Negate(self._postfix())
        if token.text == "{":
            return self._object()
        if token.text == "[" and self._accept("]"):
            return n.Array(None)
        body = self._pipe()
        self._expect(")" if token.text == "(" else "]")
        return body if token.text == "(" else n.Array(body)

    def _dot(self) -> n.Node:
        self._advance()
        if self._next.kind in ("quote", "format"):
            return n.Index(_IDENTITY, self._string(), self._accept("?"))
        if self._next.kind in ("name", "keyword") and self._touching():
            self._unexpected('for an unusual name write .["name"]')
        return _IDENTITY

    def _touching(self) -> bool:
        """Tell whether the next token follows a dot that cannot stand alone."""
        return self._next.text not in ("as", "and", "or", "then", "else", "elif", "end", "catch")

    def _call(self) -> n.Node:
        token = self._advance()
        if self._accept("("):
            arguments = [self._pipe()]
            while self._accept(";"):
                arguments.append(self._pipe())
            self._expect(")")
            return n.Call(token.text, tuple(arguments), token.offset)
        return _CONSTANTS.get(token.text) or n.Call(token.text, (), token.offset)

    def _style(self) -> str:
        token = self._advance()
        if token.text not in FORMATS:
            raise ExpressionSyntaxError(f"@{token.text} is not a format", token.offset)
        return token.text

    def _string(self) -> n.Node:
        style = self._style() if self._next.kind == "format" else "text"
        if self._next.kind != "quote":
            self._unexpected("expected a string")
        self._advance()
        parts: list[str | n.Node] = []
        while not self._accept('"', "end"):
            token = self._advance()
            if token.kind == "text":
                parts.append(token.text)
            elif token.kind == "interpolate":
                parts.append(self._pipe())
                if self._next.kind != "resume":
                    self._unexpected("expected ')'")
                self._advance()
        if all(isinstance(part, str) for part in parts):
            return n.Literal("".join(str(part) for part in parts))
        return n.Text(tuple(parts), style)

    def _if(self) -> n.Node:
        condition = self._pipe()
        self._expect("then", "keyword")
        then = self._pipe()
        if self._accept("elif", "keyword"):
            return n.If(condition, then, self._if())
        otherwise = self._pipe() if self._accept("else", "keyword") else None
        self._expect("end", "keyword")
        return n.If(condition, then, otherwise)

    def _try(self) -> n.Node:
        body = self._postfix()
        handler = self._postfix() if self._accept("catch", "keyword") else None
        return n.Try(body, handler)

    def _break(self) -> n.Node:
        offset = self._next.offset
        return n.Break(self._take("variable", "a label such as $out"), offset)

    def _reduce(self) -> n.Node:
        source, patterns, start = self._loop_head()
        update = self._pipe()
        self._expect(")")
        return n.Reduce(source, patterns, start, update)

    def _foreach(self) -> n.Node:
        source, patterns, start = self._loop_head()
        update = self._pipe()
        extract = self._pipe() if self._accept(";") else None
        self._expect(")")
        return n.Foreach(source, patterns, start, update, extract)

    def _loop_head(self) -> tuple[n.Node, tuple[n.Pattern, ...], n.Node]:
        source = self._expression()
        self._expect("as", "keyword")
        patterns = self._patterns()
        self._expect("(")
        start = self._pipe()
        self._expect(";")
        return source, patterns, start

    # -- objects

    def _object(self) -> n.Node:
        pairs: list[tuple[n.Node, n.Node | None]] = []
        while not self._accept("}"):
            pairs.append(self._pair())
            if not self._accept(","):
                self._expect("}")
                break
        return n.Object(tuple(pairs))

    def _pair(self) -> tuple[n.Node, n.Node | None]:
        token = self._next
        if token.kind == "variable":
            return self._variable_pair(self._advance())
        if token.kind in ("name", "keyword"):
            self._advance()
            return n.Literal(token.text), self._pair_value() if self._accept(":") else None
        if token.kind in ("quote", "format"):
            return self._string(), self._pair_value() if self._accept(":") else None
        key = self._computed_key()
        self._expect(":")
        return key, self._pair_value()

    def _variable_pair(self, token: Token) -> tuple[n.Node, n.Node]:
        if token.text != "__loc__" and self._accept(":"):
            return n.Variable(token.text, token.offset), self._pair_value()
        return n.Literal(token.text), self._variable(token)

    def _computed_key(self) -> n.Node:
        offset = self._next.offset
        if not self._accept("("):
            self._unexpected("an object key needs quotes, or parentheses around an expression")
        key = self._pipe()
        self._expect(")")
        if isinstance(key, n.Literal) and not isinstance(key.value, str):
            raise ExpressionSyntaxError("an object key must be a string", offset)
        return key

    def _pair_value(self) -> n.Node:
        stages = [self._expression()]
        while self._accept("|"):
            stages.append(self._expression())
        return _fold_right(stages)

    # -- patterns

    def _patterns(self) -> tuple[n.Pattern, ...]:
        patterns = [self._pattern()]
        while self._accept("?//"):
            patterns.append(self._pattern())
        return tuple(patterns)

    def _pattern(self) -> n.Pattern:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionSyntaxError("the pattern is nested too deeply", self._next.offset)
        try:
            if self._accept("["):
                return self._array_pattern()
            if self._accept("{"):
                return self._object_pattern()
            return n.VariablePattern(self._take("variable", "a variable such as $x"))
        finally:
            self._depth -= 1

    def _array_pattern(self) -> n.ArrayPattern:
        items = [self._pattern()]
        while self._accept(","):
            items.append(self._pattern())
        self._expect("]")
        return n.ArrayPattern(tuple(items))

    def _object_pattern(self) -> n.ObjectPattern:
        items = [self._pattern_member()]
        while self._accept(","):
            items.append(self._pattern_member())
        self._expect("}")
        return n.ObjectPattern(tuple(items))

    def _pattern_member(self) -> tuple[str | None, n.Node, n.Pattern | None]:
        token = self._next
        if token.kind == "variable":
            self._advance()
            inner = self._pattern() if self._accept(":") else None
            return token.text, n.Literal(token.text), inner
        if token.kind in ("name", "keyword"):
            self._advance()
            key: n.Node = n.Literal(token.text)
        elif token.kind in ("quote", "format"):
            key = self._string()
        else:
            key = self._computed_key()
        self._expect(":")
        return None, key, self._pattern()


def _fold_right(stages: list[n.Node]) -> n.Node:
    tree = stages.pop()
    while stages:
        tree = n.Pipe(stages.pop(), tree)
    return tree


def _binary(operator: str, left: n.Node, right: n.Node) -> n.Node:
    if operator in _ASSIGNMENTS:
        return n.Assign(operator, left, right)
    return n.Binary(operator, left, right)


def _number(text: str) -> n.Literal:
    if text.isdigit():
        if len(text) > 4000:
            raise ExpressionSyntaxError("the number is too long")
        return n.Literal(int(text), text == "0" or text[0] != "0")
    value = float(text)
    return n.Literal(value, repr(value) == text)


@lru_cache(maxsize=4096)
def parse(source: str) -> n.Node:
    """Return the syntax tree of a program, or raise ExpressionSyntaxError."""
    if len(source) > MAX_LENGTH:
        raise ExpressionSyntaxError("the expression is too long")
    try:
        return Parser(source).parse()
    except RecursionError:
        raise ExpressionSyntaxError("the expression is nested too deeply") from None
