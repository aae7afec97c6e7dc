"""The filter language: ``status:faulted,cancelled workflow:orders age<2h text``.

Words are joined by *and*. ``name:value`` looks for a part of a member, ``name=value`` wants all of
it; commas separate alternatives, ``*`` stands for anything. ``name<value`` and ``name>value``
compare lengths of time and numbers; a leading ``-`` or ``!`` negates. A bare word is looked for in
everything that a row shows; quotes keep blanks together.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import msgspec

from flunq_tui.model.formats import MICROSECONDS

Facts: TypeAlias = Mapping[str, Any]
"""What a row says of itself: texts, and numbers in microseconds for lengths of time."""
Test: TypeAlias = Callable[[Facts], bool]

_TERM = re.compile(r"([A-Za-z_.]+)(:|<=|>=|<|>|=)(.*)", re.DOTALL)
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ALIASES = {
    "wf": "workflow",
    "name": "workflow",
    "type": "event",
    "is": "status",
    "took": "duration",
}


class FilterError(ValueError):
    """A filter cannot be understood."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a text asks for; ``statuses`` and ``workflow`` can be asked of the cluster."""

    text: str = ""
    statuses: tuple[str, ...] = ()
    workflow: str = ""
    tests: tuple[Test, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tests)

    def accepts(self, facts: Facts) -> bool:
        """Tell whether a row is wanted."""
        return all(test(facts) for test in self.tests)


def parse_filter(text: str, known: tuple[str, ...]) -> Filter:
    """Read a filter; ``known`` are the members that rows have. Raises FilterError."""
    statuses: tuple[str, ...] = ()
    workflow = ""
    tests: list[Test] = []
    for word in _words(text):
        negated = len(word) > 1 and word[0] in "-!"
        bare = word[1:] if negated else word
        match = _TERM.fullmatch(bare)
        if match is None or (match[2] in ":=" and match[1].lower() not in {*known, *_ALIASES}):
            tests.append(_negated(_contains(bare), negated))
            continue
        name = _ALIASES.get(match[1].lower(), match[1].lower())
        if name not in known:
            raise FilterError(f"{match[1]}? {', '.join(known)}")
        tests.append(_negated(_compare(name, match[2], match[3]), negated))
        if negated or "*" in match[3] or match[2] not in (":", "="):
            continue
        if name == "status":
            statuses = tuple(match[3].split(","))
        elif name == "workflow" and match[2] == "=" and "," not in match[3]:
            workflow = match[3]
    return Filter(text=text.strip(), statuses=statuses, workflow=workflow, tests=tuple(tests))


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    lexer.quotes = '"'
    try:
        return [word for word in lexer if word]
    except ValueError as error:
        raise FilterError(str(error).lower()) from None


def _negated(test: Test, negated: bool) -> Test:
    return (lambda facts: not test(facts)) if negated else test


def _contains(word: str) -> Test:
    wanted = word.casefold()
    return lambda facts: any(wanted in str(value).casefold() for value in facts.values())


def _compare(name: str, operator: str, value: str) -> Test:
    if operator in (":", "="):
        patterns = tuple(part.casefold() for part in value.split(",") if part)
        exact = operator == "=" or name in ("status", "level")
        return lambda facts: any(_alike(facts.get(name), each, exact) for each in patterns)
    limit = _number(value)
    compare = _ORDER[operator]
    return lambda facts: _is_number(facts.get(name)) and compare(facts[name], limit)


_ORDER: dict[str, Callable[[Any, float], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def _alike(value: Any, pattern: str, exact: bool) -> bool:
    text = str("" if value is None else value).casefold()
    if not exact:
        # A part of a name is enough: people do not type versions and namespaces.
        return fnmatchcase(text, f"*{pattern}*")
    plain = text.rpartition("/")[2]
    ways = (text, text.rpartition(":")[0], plain, plain.rpartition(":")[0])
    return any(fnmatchcase(way, pattern) for way in ways if way)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: str) -> float:
    parts = _LENGTH.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise FilterError(f"{value!r}? 500ms, 30s, 2h, 100")
    if all(not unit for _, unit in parts):
        return float(value)
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts) * MICROSECONDS
