"""Strict reading of the JSON or YAML that a user hands to an execution."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from flunq.core.reading.limits import MAX_DEPTH, MAX_INPUT_BYTES
from flunq.core.reading.problems import InvalidDocument, Problem, quoted
from flunq.core.reading.source import decode, is_json, read_source

_LARGE = 64 * 1024
_FORBIDDEN = re.compile(r"[\0\ud800-\udfff]")


def read_input(text: str | bytes, *, name: str) -> Any:
    """Return the value of an input.

    What JSON cannot carry from one system to the next is refused as :class:`InvalidDocument`:
    numbers that are not finite, NUL, halves of surrogate pairs, repeated keys, endless nesting.
    """
    if len(text) <= _LARGE:
        return read_source(text, name=name).value
    content = decode(text, name, MAX_INPUT_BYTES)
    if not is_json(content, name):
        return read_source(content, name=name).value
    return _read_large(content, name)


def _read_large(content: str, name: str) -> Any:
    """Read JSON without keeping positions, ten times as fast."""
    try:
        value = json.loads(content, object_pairs_hook=_unique, parse_constant=_not_finite)
    except json.JSONDecodeError as error:
        _refuse(name, f"not valid JSON: {error.msg}", "json-syntax", error.lineno, error.colno)
    except RecursionError:
        _refuse(name, f"values are nested more than {MAX_DEPTH} deep", "too-deep")
    except _StrictnessError as error:
        _refuse(name, str(error), error.rule)
    except ValueError as error:  # Python refuses numbers of thousands of digits
        _refuse(name, str(error), "bad-number")
    _refuse_strange(value, content, name)
    return value


class _StrictnessError(ValueError):
    """JSON that is read differently by different readers."""

    def __init__(self, message: str, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _StrictnessError(f"duplicate key {quoted(key)}", "duplicate-key")
        seen.add(key)
    return value


def _not_finite(word: str) -> NoReturn:
    raise _StrictnessError(f"not valid JSON: {quoted(word)} is not a JSON value", "json-syntax")


def _refuse_strange(value: Any, content: str, name: str) -> None:
    """Look at each text and the depth, without recursion."""
    escapes = "\\u" in content
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below.extend(part.values())
                if escapes:
                    below.extend(part)
            elif isinstance(part, list):
                below.extend(part)
            elif isinstance(part, str) and escapes and _FORBIDDEN.search(part):
                message = "a text contains NUL or half of a surrogate pair"
                _refuse(name, message, "unreadable-character")
            elif part in (float("inf"), float("-inf")):
                _refuse(name, "a number has to be finite", "bad-number")
        level, depth = below, depth + 1
        if depth > MAX_DEPTH + 1:
            _refuse(name, f"values are nested more than {MAX_DEPTH} deep", "too-deep")


def _refuse(name: str, message: str, rule: str, line: int = 1, column: int = 1) -> NoReturn:
    problem = Problem(path="", line=line, column=column, message=message, rule=rule)
    raise InvalidDocument([problem], name=name)
