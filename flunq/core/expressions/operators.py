"""jq's operators on values."""

from __future__ import annotations

import math
from typing import Any

from flunq.core.expressions.errors import BeyondTier0, ExpressionError
from flunq.core.expressions.fuel import MAX_ITEMS, MAX_STRING, bounded_text
from flunq.core.expressions.values import equal, kind, shown, sort_key

_LARGEST = 1 << 128
_EXACT = 1e17
_MIN_INT64, _MAX_INT64 = -(1 << 63), (1 << 63) - 1
_NUMBERS = (int, float)


def number(value: float) -> int | float:
    """Return a computed number in the form jq gives it: whole numbers as integers."""
    if not -_EXACT < value < _EXACT:
        if math.isfinite(value):
            return value
        raise BeyondTier0("not a finite number")
    whole = int(value)
    if whole != value or (whole == 0 and math.copysign(1.0, value) < 0):
        return value
    return whole


def is_number(value: Any) -> bool:
    """Tell whether a value is a number; booleans are not."""
    return type(value) in _NUMBERS


def mismatch(left: Any, right: Any, what: str) -> ExpressionError:
    """Return the error of an operator that does not take these kinds."""
    return ExpressionError(
        f"{kind(left)} ({shown(left)}) and {kind(right)} ({shown(right)}) {what}"
    )


def add(left: Any, right: Any) -> Any:
    """``left + right``."""
    cls = type(left)
    if cls in _NUMBERS and type(right) in _NUMBERS:
        total = left + right
        return total if type(total) is int else number(total)
    if left is None:
        return right
    if right is None:
        return left
    if cls is type(right):
        if cls is str:
            return bounded_text(left + right)
        if cls is list:
            if len(left) + len(right) > MAX_ITEMS:
                raise BeyondTier0("long array")
            return left + right
        if cls is dict:
            return {**left, **right}
    raise mismatch(left, right, "cannot be added")


def subtract(left: Any, right: Any) -> Any:
    """``left - right``."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        difference = left - right
        return difference if type(difference) is int else number(difference)
    if type(left) is list and type(right) is list:
        if len(left) * len(right) > MAX_ITEMS:
            raise BeyondTier0("long arrays")
        return [item for item in left if not any(equal(item, other) for other in right)]
    raise mismatch(left, right, "cannot be subtracted")


def multiply(left: Any, right: Any) -> Any:
    """``left * right``."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _product(left, right)
    if type(left) is str and type(right) in _NUMBERS:
        return _repeat(left, right)
    if type(right) is str and type(left) in _NUMBERS:
        return _repeat(right, left)
    if type(left) is dict and type(right) is dict:
        return _merge(left, right)
    raise mismatch(left, right, "cannot be multiplied")


def _product(left: Any, right: Any) -> int | float:
    product = left * right
    if type(product) is not int:
        return number(product)
    if product == 0 and (left < 0 or right < 0):
        return -0.0
    if -_LARGEST < product < _LARGEST:
        return product
    raise BeyondTier0("large number")


def _repeat(text: str, times: Any) -> str | None:
    if times < 0:
        return None
    if len(text) * times > MAX_STRING:
        raise BeyondTier0("long string")
    return text * int(times)


def _merge(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    merged = dict(left)
    for name, value in right.items():
        before = merged.get(name)
        both = type(before) is dict and type(value) is dict
        merged[name] = _merge(before, value) if both else value  # type: ignore[arg-type]
    return merged


def divide(left: Any, right: Any) -> Any:
    """``left / right``."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        if right == 0:
            raise mismatch(left, right, "cannot be divided because the divisor is zero")
        if left == 0 and right < 0 and type(left) is int:
            return -0.0
        return number(left / right)
    if type(left) is str and type(right) is str:
        return split_text(left, right)
    raise mismatch(left, right, "cannot be divided")


def split_text(text: str, separator: str) -> list[str]:
    """Split a string; an empty separator gives the characters."""
    if not text:
        return []
    if len(text) > MAX_STRING:
        raise BeyondTier0("long string")
    return text.split(separator) if separator else list(text)


def modulo(left: Any, right: Any) -> Any:
    """``left % right``: on whole numbers, with the sign of the left."""
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise mismatch(left, right, "cannot be divided (remainder)")
    dividend, divisor = int(left), int(right)
    if divisor == 0:
        message = "cannot be divided (remainder) because the divisor is zero"
        raise mismatch(left, right, message)
    if not (_MIN_INT64 <= dividend <= _MAX_INT64 and _MIN_INT64 <= divisor <= _MAX_INT64):
        raise BeyondTier0("large number")
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def negate(value: Any) -> Any:
    """``-value``; the sign of a zero depends on where the zero came from."""
    if type(value) not in _NUMBERS:
        raise ExpressionError(f"{kind(value)} ({shown(value)}) cannot be negated")
    if value == 0:
        raise BeyondTier0("negative zero")
    return -value


def less(left: Any, right: Any) -> bool:
    """``left < right`` in jq's order of all values."""
    cls = type(left)
    if cls is type(right) and (cls is int or cls is str or cls is float):
        return bool(left < right)
    if cls in _NUMBERS and type(right) in _NUMBERS:
        return bool(left < right)
    return sort_key(left) < sort_key(right)


def less_or_equal(left: Any, right: Any) -> bool:
    """``left <= right``."""
    return not less(right, left)


def greater(left: Any, right: Any) -> bool:
    """``left > right``."""
    return less(right, left)


def greater_or_equal(left: Any, right: Any) -> bool:
    """``left >= right``."""
    return not less(left, right)


def unequal(left: Any, right: Any) -> bool:
    """``left != right``."""
    return not equal(left, right)


def member(value: Any, key: Any) -> Any:
    """``value[key]``: missing members are null."""
    cls = type(value)
    if cls is dict:
        if type(key) is str:
            return value.get(key)
    elif cls is list:
        if type(key) in _NUMBERS:
            position = int(key)
            if -len(value) <= position < len(value):
                return value[position]
            return None
        if type(key) is dict or type(key) is list:
            raise BeyondTier0("index by a value")
    elif value is None:
        if type(key) is str or type(key) in _NUMBERS or type(key) is dict:
            return None
    elif cls is str and type(key) is dict:
        raise BeyondTier0("index by a value")
    raise ExpressionError(f"Cannot index {kind(value)} with {kind(key)} ({shown(key)})")


def section(value: Any, start: Any, end: Any) -> Any:
    """``value[start:end]``: the start rounds down, the end up."""
    cls = type(value)
    if cls is not list and cls is not str:
        if value is None:
            return None
        bounds = {"start": start, "end": end}
        raise ExpressionError(f"Cannot index {kind(value)} with object ({shown(bounds)})")
    length = len(value)
    if start is None:
        start = 0
    if end is None:
        end = length
    if type(start) not in _NUMBERS or type(end) not in _NUMBERS:
        raise ExpressionError("Array/string slice indices must be integers")
    first = int(min(max(start + length if start < 0 else start, 0), length))
    last = math.ceil(min(max(end + length if end < 0 else end, first), length))
    return value[first : max(first, last)]


def members(value: Any) -> list[Any]:
    """Return what ``.[]`` iterates over."""
    cls = type(value)
    if cls is list:
        return value  # type: ignore[no-any-return]
    if cls is dict:
        return list(value.values())
    raise ExpressionError(f"Cannot iterate over {kind(value)} ({shown(value)})")


ARITHMETIC = {"+": add, "-": subtract, "*": multiply, "/": divide, "%": modulo}
COMPARISONS = {
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": less_or_equal,
    ">": greater,
    ">=": greater_or_equal,
}
