"""jq's view of JSON values: kinds, order, equality, text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flunq.core.expressions.errors import BeyondTier0

if TYPE_CHECKING:
    from flunq.core.json import JSON

KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_RANKS: dict[type, int] = {int: 3, float: 3, str: 4, list: 5, dict: 6}
_SHOWN_BYTES = 29
_CLOSERS = {'"': '"', "[": "]", "{": "}"}
_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


def kind(value: Any) -> str:
    """Return jq's name for the type of a value."""
    try:
        return KINDS[type(value)]
    except KeyError:
        raise BeyondTier0(f"not a plain JSON value: {type(value)}") from None


def to_json(value: Any) -> str:
    """Return the JSON text that jq writes; floats it writes in another form are refused."""
    if type(value) is str:
        text = _encode(value)
    else:
        _check_floats(value)
        try:
            text = _encode(value)
        except (ValueError, TypeError) as error:
            raise BeyondTier0(str(error)) from None
    return text.replace("\x7f", "\\u007f") if "\x7f" in text else text


def _check_floats(value: Any) -> None:
    """Refuse floats whose text jq would write with another exponent form."""
    cls = type(value)
    if cls is float:
        size = abs(value)
        if not 1e-4 <= size < 1e15:
            raise BeyondTier0("number form")
    elif cls is list:
        for item in value:
            _check_floats(item)
    elif cls is dict:
        for item in value.values():
            _check_floats(item)


def to_text(value: JSON) -> str:
    """Return a string as it is and anything else as JSON."""
    return value if type(value) is str else to_json(value)


def shown(value: Any) -> str:
    """Return the start of the JSON text, as jq quotes values in its messages."""
    try:
        text = to_json(value)
    except (BeyondTier0, RecursionError):
        text = repr(value)
    data = text.encode("utf-8", "replace")
    if len(data) <= _SHOWN_BYTES:
        return text
    closer = _CLOSERS.get(text[0], "")
    return data[: _SHOWN_BYTES - 3 - len(closer)].decode("utf-8", "ignore") + "..." + closer


def sort_key(value: Any) -> tuple[Any, ...]:
    """Return a key that orders values as jq does."""
    cls = type(value)
    if cls is str:
        return (4, value)
    if cls is int or cls is float:
        return (3, value)
    if cls is list:
        return (5, [sort_key(item) for item in value])
    if cls is dict:
        names = sorted(value)
        return (6, names, [sort_key(value[name]) for name in names])
    if value is None:
        return (0,)
    if cls is bool:
        return (2,) if value else (1,)
    raise BeyondTier0(f"not a plain JSON value: {cls}")


def equal(left: Any, right: Any) -> bool:
    """Tell whether jq finds two values equal; unlike in Python, true is not 1."""
    if left is right:
        return True
    cls = type(left)
    if cls is str:
        return type(right) is str and bool(left == right)
    if cls is bool or type(right) is bool:
        return False
    if cls is list or cls is dict:
        return bool(left == right) and same_kinds(left, right)
    return bool(left == right)


def same_kinds(left: Any, right: Any) -> bool:
    """Tell whether two values that Python finds equal have booleans in the same places."""
    cls = type(left)
    if cls is list:
        return all(map(same_kinds, left, right))
    if cls is dict:
        return all(same_kinds(item, right[name]) for name, item in left.items())
    return (cls is bool) is (type(right) is bool)
