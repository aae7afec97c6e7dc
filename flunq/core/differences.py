"""What is different between two JSON values, place by place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1_000
"""Differences that are listed."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ABSENT = msgspec.UNSET


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place; ``before`` or ``after`` is absent where only the other value has it."""

    path: str
    """As an expression would name it: ``.items[0].price``."""
    before: Any = _ABSENT
    after: Any = _ABSENT


def differences(before: Any, after: Any) -> list[Difference]:
    """Return the differences in the order of the first value, at most ``MOST``."""
    found: list[Difference] = []
    for each in _compare(before, after, ""):
        found.append(each)
        if len(found) == MOST:
            break
    return found


def is_same(before: Any, after: Any) -> bool:
    """Tell whether two values are the same JSON."""
    return not any(True for _ in _compare(before, after, ""))


def _compare(before: Any, after: Any, path: str) -> Iterator[Difference]:
    pending = [(before, after, path)]
    while pending:
        one, other, place = pending.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            pending += reversed(list(_members(one, other, place)))
        elif isinstance(one, list) and isinstance(other, list):
            pending += reversed(list(_items(one, other, place)))
        elif not _is_one_value(one, other):
            yield Difference(path=place or ".", before=one, after=other)


def _is_one_value(one: Any, other: Any) -> bool:
    """JSON has one kind of numbers: 1 and 1.0 are the same, 1 and true are not."""
    numbers = (int, float)
    alike = type(one) is type(other) or (type(one) in numbers and type(other) in numbers)
    return alike and one == other


def _members(
    one: dict[str, Any], other: dict[str, Any], place: str
) -> Iterator[tuple[Any, Any, str]]:
    for name in [*one, *(name for name in other if name not in one)]:
        step = f".{name}" if _PLAIN.fullmatch(name) else f"[{msgspec.json.encode(name).decode()}]"
        yield one.get(name, _ABSENT), other.get(name, _ABSENT), place + step


def _items(one: list[Any], other: list[Any], place: str) -> Iterator[tuple[Any, Any, str]]:
    for index in range(max(len(one), len(other))):
        left = one[index] if index < len(one) else _ABSENT
        right = other[index] if index < len(other) else _ABSENT
        yield left, right, f"{place}[{index}]"
