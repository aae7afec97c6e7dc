"""Tokens of a jq program, with offsets."""

from __future__ import annotations

import re
from typing import NamedTuple

from flunq.core.expressions.errors import ExpressionSyntaxError

_KEYWORDS_WORDS = """
    as def module import include if then else elif end reduce foreach and or try catch label
    break
"""
KEYWORDS = frozenset(_KEYWORDS_WORDS.split())

_NAME = r"[a-zA-Z_][a-zA-Z_0-9]*"
_TOKEN = re.compile(
    rf"""
    (?P<space>[ \r\n\t]+ | \#(?:\\(?:\\|\r?\n)|(?!\r?\n)[^\n])*)
  | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | (?P<field>\.{_NAME})
  | (?P<variable>\$(?:{_NAME}::)*{_NAME})
  | (?P<format>@[a-zA-Z0-9_]+)
  | (?P<name>(?:{_NAME}::)*{_NAME})
  | (?P<quote>")
  | (?P<open>[\[{{(])
  | (?P<close>[\]}})])
  | (?P<symbol>\?//|//=|\|=|\+=|-=|\*=|/=|%=|<=|>=|!=|==|//|\.\.|[.?=;,:|+\-*/%$<>])
    """,
    re.VERBOSE,
)
_STRING = re.compile(
    r'(?P<text>[^\\"]+)|(?P<open>\\\()|(?P<end>")'
    r"|(?P<escapes>(?:\\[^u(]|\\u[a-zA-Z0-9]{0,4})+)"
)
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_LONE_SURROGATE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])")
_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_INTERPOLATION = "\\("


class Token(NamedTuple):
    """A token: what it is, what it says, and where."""

    kind: str
    """number field variable format name keyword symbol quote text interpolate resume end eof"""
    text: str
    offset: int


class Lexer:
    """Splits a program into tokens; stops at an unmatched closing brace when asked to."""

    def __init__(self, source: str, start: int = 0, *, stop_at_brace: bool = False) -> None:
        self._source = source
        self._position = start
        self._stop_at_brace = stop_at_brace
        self._open: list[str] = []
        self._tokens: list[Token] = []

    def run(self) -> tuple[list[Token], int]:
        """Return all tokens, the last one ``eof``, and the offset where reading ended."""
        while self._position < len(self._source):
            if self._open and self._open[-1] == '"':
                self._string_part()
            elif not self._code_part():
                break
        if self._open and self._open[-1] == '"':
            self._fail("the string is not closed")
        self._tokens.append(Token("eof", "", self._position))
        return self._tokens, self._position

    def _emit(self, kind: str, text: str, end: int) -> None:
        self._tokens.append(Token(kind, text, self._position))
        self._position = end

    def _fail(self, message: str) -> None:
        raise ExpressionSyntaxError(message, self._position)

    def _code_part(self) -> bool:
        match = _TOKEN.match(self._source, self._position)
        if match is None:
            self._fail(f"unexpected character {self._source[self._position]!r}")
            return False
        kind, text = str(match.lastgroup), match.group()
        if kind == "close":
            return self._close(text)
        if kind == "space":
            self._position = match.end()
            return True
        if kind == "quote":
            self._open.append('"')
        elif kind == "open":
            self._open.append(text)
            kind = "symbol"
        elif kind == "name" and text in KEYWORDS:
            kind = "keyword"
        elif kind == "field" or kind == "variable" or kind == "format":
            text = text[1:]
        self._emit(kind, text, match.end())
        return True

    def _close(self, text: str) -> bool:
        if not self._open:
            if self._stop_at_brace and text == "}":
                return False
            self._fail(f"unmatched {text!r}")
        opener = self._open[-1]
        if opener == _INTERPOLATION and text == ")":
            self._open.pop()
            self._emit("resume", text, self._position + 1)
            return True
        if _CLOSERS.get(opener) != text:
            self._fail(f"{text!r} does not close {opener!r}")
        self._open.pop()
        self._emit("symbol", text, self._position + 1)
        return True

    def _string_part(self) -> None:
        match = _STRING.match(self._source, self._position)
        if match is None:
            self._fail("the string is not closed")
            return
        if match.lastgroup == "text":
            self._emit("text", match.group(), match.end())
        elif match.lastgroup == "escapes":
            self._emit("text", self._unescape(match.group()), match.end())
        elif match.lastgroup == "open":
            self._open.append(_INTERPOLATION)
            self._emit("interpolate", match.group(), match.end())
        else:
            self._open.pop()
            self._emit("end", '"', match.end())

    def _unescape(self, run: str) -> str:
        pieces: list[str] = []
        position = 0
        while position < len(run):
            match = _ESCAPE.match(run, position)
            if match is None:
                raise ExpressionSyntaxError("invalid escape in a string", self._position + position)
            code, simple = match.groups()
            pieces.append(chr(int(code, 16)) if code else _SIMPLE_ESCAPES.get(simple, simple))
            position = match.end()
        text = "".join(pieces)
        if _LONE_SURROGATE.search(text):
            raise ExpressionSyntaxError("half of a surrogate pair in a string", self._position)
        return _join_surrogates(text)


def _join_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def tokenize(source: str) -> list[Token]:
    """Return the tokens of a whole program."""
    return Lexer(source).run()[0]


def find_closing_brace(source: str, start: int) -> int | None:
    """Return the offset of the brace that ends the expression beginning at ``start``."""
    try:
        _, end = Lexer(source, start, stop_at_brace=True).run()
    except ExpressionSyntaxError:
        return None
    return end if end < len(source) else None
