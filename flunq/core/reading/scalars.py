"""Scalars of YAML 1.2's core schema: which texts are numbers, booleans and null."""

from __future__ import annotations

import math
import re
from typing import Any

from flunq.core.reading.limits import MAX_DIGITS
from flunq.core.reading.problems import quoted

CORE = "tag:yaml.org,2002:"

_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_START = frozenset("+-.0123456789")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TYPES = {"null": type(None), "bool": bool, "int": int, "float": float}


class ScalarError(ValueError):
    """A scalar that has no value in JSON."""

    def __init__(self, message: str, rule: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.rule = rule
        self.hint = hint


def resolve(text: str, tag: str | None, *, plain: bool) -> Any:
    """Return the value of a scalar; raise :class:`ScalarError` when JSON cannot carry it."""
    if tag is None and plain:
        return _resolve_plain(text)
    if tag is None or tag in ("!", CORE + "str"):
        if "\0" in text:
            raise ScalarError("a text contains NUL", "unreadable-character")
        return text
    return _resolve_tagged(text, tag)


def shown_tag(tag: str) -> str:
    """Return a tag as it is usually written."""
    return quoted(f"!!{tag.removeprefix(CORE)}" if tag.startswith(CORE) else tag)


def _resolve_tagged(text: str, tag: str) -> Any:
    expected = _TYPES.get(tag.removeprefix(CORE)) if tag.startswith(CORE) else None
    if expected is None:
        raise ScalarError(f"unknown tag {shown_tag(tag)}", "unknown-tag")
    value = _resolve_plain(text)
    if expected is float and type(value) is int:
        return _finite(text)
    if type(value) is not expected:
        raise ScalarError(f"{quoted(text)} is not a value of {shown_tag(tag)}", "unknown-tag")
    return value


def _resolve_plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.fullmatch(text) or _BASED.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return _finite(text)
    return text


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ScalarError(f"a number has more than {MAX_DIGITS} digits", "bad-number")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _finite(text: str) -> float:
    number = math.nan if _NOT_FINITE.fullmatch(text) else float(text)
    if not math.isfinite(number):
        hint = "quote it if it is a text"
        raise ScalarError("a number has to be finite", "bad-number", hint)
    return number
