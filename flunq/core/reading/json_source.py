"""Strict JSON to plain values and positions.

YAML's parser cannot stand in: it knows neither surrogate pairs nor keys over 1,024 characters.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, NoReturn

from flunq.core.reading.limits import MAX_DEPTH, MAX_DIGITS, MAX_KEY, MAX_PROBLEMS, MAX_VALUES
from flunq.core.reading.pointers import child, join
from flunq.core.reading.problems import InvalidDocument, Problem, quoted

if TYPE_CHECKING:
    from flunq.core.reading.source import Spot

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"-?[A-Za-z]+")
_BREAK = re.compile(r"\r\n|[\n\r]")
_FORBIDDEN = re.compile(r"[\0\ud800-\udfff]")
_WORDS = {"true": True, "false": False, "null": None}


def read_json(content: str, name: str) -> tuple[Any, Spot]:
    """Return the plain value and the spots of the one JSON text in ``content``."""
    return _Reader(content, name).read()


class _Reader:
    """One pass over one text; recursion is bounded by the depth limit."""

    def __init__(self, content: str, name: str) -> None:
        self.content = content
        self.name = name
        self.line_starts = [0, *(found.end() for found in _BREAK.finditer(content))]
        self.tokens: list[str | int] = []
        self.problems: list[Problem] = []
        self.count = 0

    def read(self) -> tuple[Any, Spot]:
        start = self._skip(0)
        if start == len(self.content):
            self._refuse(start, "the document is empty", "empty-document")
        value, spot, end = self._value(start)
        end = self._skip(end)
        if end != len(self.content):
            self._refuse(end, "there is more text after the end of the JSON value", "json-syntax")
        if self.problems:
            raise InvalidDocument(self.problems, name=self.name)
        return value, spot

    def _value(self, at: int) -> tuple[Any, Spot, int]:
        self._count(at)
        first = self.content[at : at + 1]
        if first == "{":
            return self._object(at)
        if first == "[":
            return self._array(at)
        if first == '"':
            value, end = self._string(at)
            return value, (*self._place(at), None), end
        return self._bare(at)

    def _object(self, at: int) -> tuple[dict[str, Any], Spot, int]:
        value: dict[str, Any] = {}
        children: dict[str, tuple[int, int, Spot]] = {}
        here = self._skip(at + 1)
        while self.content[here : here + 1] != "}":
            if value:
                here = self._skip(self._expect(",", here))
            if self.content[here : here + 1] != '"':
                self._refuse(here, "not valid JSON: a key in double quotes is missing")
            key_at = here
            key, here = self._string(key_at)
            self._check_key(key, key_at, children)
            here = self._skip(self._expect(":", self._skip(here)))
            self._enter(key, here)
            value[key], spot, here = self._value(here)
            self.tokens.pop()
            children[key] = (*self._place(key_at), spot)
            here = self._skip(here)
        return value, (*self._place(at), children), here + 1

    def _array(self, at: int) -> tuple[list[Any], Spot, int]:
        value: list[Any] = []
        children: list[Spot] = []
        here = self._skip(at + 1)
        while self.content[here : here + 1] != "]":
            if value:
                here = self._skip(self._expect(",", here))
            self._enter(len(value), here)
            item, spot, here = self._value(here)
            self.tokens.pop()
            value.append(item)
            children.append(spot)
            here = self._skip(here)
        return value, (*self._place(at), children), here + 1

    def _string(self, at: int) -> tuple[str, int]:
        self._count(at)
        try:
            value, end = scanstring(self.content, at + 1, True)
        except JSONDecodeError as error:
            self._refuse(error.pos, f"not valid JSON: {error.msg.lower()}")
        if _FORBIDDEN.search(value):
            message = "a text contains NUL or half of a surrogate pair"
            self._complain(at, message, "unreadable-character")
        return value, end

    def _bare(self, at: int) -> tuple[Any, Spot, int]:
        number = _NUMBER.match(self.content, at)
        if number is not None:
            text = number.group()
            return self._number(number, at), (*self._place(at), text), number.end()
        word = _WORD.match(self.content, at)
        text = word.group() if word else self.content[at : at + 1]
        if word is None or text not in _WORDS:
            shown = f"{quoted(text)} is not a JSON value" if text else "the text ends too early"
            self._refuse(at, f"not valid JSON: {shown}")
        return _WORDS[text], (*self._place(at), text), word.end()

    def _number(self, number: re.Match[str], at: int) -> float:
        whole, fraction, exponent = number.groups()
        if len(number.group()) > MAX_DIGITS:
            self._complain(at, f"a number has more than {MAX_DIGITS} digits", "bad-number")
            return 0
        if fraction is None and exponent is None:
            return int(whole)
        value = float(number.group())
        if not math.isfinite(value):
            self._complain(at, "a number has to be finite", "bad-number")
            return 0
        return value

    def _check_key(self, key: str, at: int, children: dict[str, tuple[int, int, Spot]]) -> None:
        if len(key) > MAX_KEY:
            self._refuse(at, f"a key is longer than {MAX_KEY:,} characters", "key-too-long")
        if key in children:
            message = f"duplicate key {quoted(key)}; it is already used on line {children[key][0]}"
            self._complain(at, message, "duplicate-key", path=child(join(self.tokens), key))

    def _enter(self, token: str | int, at: int) -> None:
        self.tokens.append(token)
        if len(self.tokens) > MAX_DEPTH:
            self._refuse(at, f"values are nested more than {MAX_DEPTH} deep", "too-deep")

    def _count(self, at: int) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            message = f"the document has more than {MAX_VALUES:,} values"
            self._refuse(at, message, "too-many-values")

    def _skip(self, at: int) -> int:
        return _SPACE.match(self.content, at).end()  # type: ignore[union-attr]

    def _expect(self, mark: str, at: int) -> int:
        if self.content[at : at + 1] != mark:
            self._refuse(at, f"not valid JSON: '{mark}' is missing")
        return at + 1

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect_right(self.line_starts, at)
        return line, at - self.line_starts[line - 1] + 1

    def _complain(self, at: int, message: str, rule: str, *, path: str | None = None) -> None:
        line, column = self._place(at)
        where = join(self.tokens) if path is None else path
        self.problems.append(
            Problem(path=where, line=line, column=column, message=message, rule=rule)
        )
        if len(self.problems) >= MAX_PROBLEMS:
            raise InvalidDocument(self.problems, name=self.name)

    def _refuse(self, at: int, message: str, rule: str = "json-syntax") -> NoReturn:
        self._complain(at, message, rule)
        raise InvalidDocument(self.problems, name=self.name)
