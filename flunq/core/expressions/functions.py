"""jq's builtin functions on values: no closures, no input but the arguments."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flunq.core.expressions.errors import BeyondTier0, ExpressionError
from flunq.core.expressions.fuel import MAX_ITEMS, MAX_STRING, bounded_text
from flunq.core.expressions.operators import add, is_number, member, members, number, split_text
from flunq.core.expressions.values import equal, kind, shown, sort_key, to_json, to_text
from flunq.core.markers import OPENING, is_marker, transformed

if TYPE_CHECKING:
    from collections.abc import Callable

_UPPER = {code: code + 32 for code in range(65, 91)}
_LOWER = {code: code - 32 for code in range(97, 123)}
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&quot;"})
_TSV = str.maketrans({"\t": "\\t", "\r": "\\r", "\n": "\\n", "\\": "\\\\"})
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,14})")
_MAX_SORT = 20_000


def _complaint(value: Any, what: str) -> ExpressionError:
    return ExpressionError(f"{kind(value)} ({shown(value)}) {what}")


def _array(value: Any) -> list[Any]:
    """Return an array short enough to sort; other kinds have messages of their own in jq."""
    if type(value) is not list or len(value) > _MAX_SORT:
        raise BeyondTier0("not a short array")
    return value


def length(value: Any) -> Any:
    """Length of a string, array or object, size of a number, 0 for null."""
    cls = type(value)
    if cls is str or cls is list or cls is dict:
        return len(value)
    if value is None:
        return 0
    if is_number(value):
        return abs(value)
    raise _complaint(value, "has no length")


def not_(value: Any) -> bool:
    """Turn a condition around."""
    return value is None or value is False


def keys(value: Any) -> list[Any]:
    """Sorted names of an object, positions of an array."""
    if type(value) is dict:
        return sorted(value)
    if type(value) is list:
        return list(range(len(value)))
    raise _complaint(value, "has no keys")


def keys_unsorted(value: Any) -> list[Any]:
    """Names of an object in its own order."""
    return list(value) if type(value) is dict else keys(value)


def to_entries(value: Any) -> list[Any]:
    """Turn an object into an array of key and value."""
    if type(value) is not dict:
        raise BeyondTier0("not an object")
    return [{"key": name, "value": item} for name, item in value.items()]


def from_entries(value: Any) -> dict[str, Any]:
    """Turn an array of entries into an object."""
    result: dict[str, Any] = {}
    for entry in members(value):
        if type(entry) is not dict:
            raise BeyondTier0("not an entry")
        name = entry.get("key")
        if type(name) is not str or "value" not in entry:
            raise BeyondTier0("an unusual entry")
        result[name] = entry["value"]
    return result


def has(value: Any, key: Any) -> bool:
    """Tell whether a member exists, even when it is null."""
    if type(value) is dict and type(key) is str:
        return key in value
    if type(value) is list and type(key) is int:
        return 0 <= key < len(value)
    raise BeyondTier0("an unusual key")


def floor(value: Any) -> Any:
    """Round down."""
    if not is_number(value):
        raise _complaint(value, "number required")
    return math.floor(value)


def ceil(value: Any) -> Any:
    """Round up."""
    if not is_number(value):
        raise _complaint(value, "number required")
    if -1 < value < 0:
        raise BeyondTier0("negative zero")
    return math.ceil(value)


def round_(value: Any) -> Any:
    """Round to the nearest, halves away from zero."""
    if not is_number(value):
        raise _complaint(value, "number required")
    if type(value) is int:
        return value
    if -0.5 < value < 0 or abs(value) > 1e15:
        raise BeyondTier0("negative zero or large number")
    whole = math.floor(abs(value))
    if abs(value) - whole >= 0.5:
        whole += 1
    return whole if value >= 0 else -whole


def sqrt(value: Any) -> Any:
    """Square root."""
    if not is_number(value):
        raise _complaint(value, "number required")
    if value < 0:
        raise BeyondTier0("not a number")
    return number(math.sqrt(value))


def absolute(value: Any) -> Any:
    """Size of a number."""
    if not is_number(value) or value == 0:
        raise BeyondTier0("not a plain number")
    return abs(value)


def to_number(value: Any) -> Any:
    """Turn a string into a number."""
    if is_number(value):
        return value
    if type(value) is str:
        if _INTEGER.fullmatch(value) and value != "-0":
            return int(value)
        if len(value) < 25 and value.isascii():
            return _plain_float(value)
    raise BeyondTier0("not a plain number")


def _plain_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BeyondTier0("not a plain number") from None
    if repr(value) != text or not math.isfinite(value):
        raise BeyondTier0("not a plain number")
    return value


def to_boolean(value: Any) -> bool:
    """Turn a string into a boolean."""
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise _complaint(value, "cannot be parsed as a boolean")


def sort(value: Any) -> list[Any]:
    """Sort an array in jq's order."""
    return sorted(_array(value), key=sort_key)


def unique(value: Any) -> list[Any]:
    """Sort an array and drop equal values."""
    return [group[0] for group in grouped(_array(value), sort_key)]


def grouped(items: list[Any], key: Callable[[Any], Any]) -> list[list[Any]]:
    """Return the groups of items with equal keys, in the order of the keys."""
    keyed = sorted(((key(item), item) for item in items), key=_first)
    groups: list[list[Any]] = []
    last: Any = None
    for current, item in keyed:
        if groups and current == last:
            groups[-1].append(item)
        else:
            groups.append([item])
            last = current
    return groups


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def smallest(value: Any) -> Any:
    """Return the smallest item, the first of equals."""
    return min(_array(value), key=sort_key, default=None)


def largest(value: Any) -> Any:
    """Return the largest item, the last of equals."""
    return max(reversed(_array(value)), key=sort_key, default=None)


def reverse(value: Any) -> list[Any]:
    """Turn the order of an array around."""
    if type(value) is not list:
        raise BeyondTier0("not an array")
    return value[::-1]


def total(value: Any) -> Any:
    """Add all members up."""
    items = members(value)
    if len(items) > MAX_ITEMS:
        raise BeyondTier0("long array")
    if items and all(type(item) is str for item in items):
        return bounded_text("".join(items))
    result: Any = None
    for item in items:
        result = add(result, item)
    return result


def any_(value: Any) -> bool:
    """Tell whether any member is true."""
    return any(item is not None and item is not False for item in members(value))


def all_(value: Any) -> bool:
    """Tell whether all members are true."""
    return all(item is not None and item is not False for item in members(value))


def flatten(value: Any, depth: Any = 1_000) -> list[Any]:
    """Pull nested arrays up."""
    if type(depth) is not int:
        raise BeyondTier0("an unusual depth")
    if depth < 0:
        raise ExpressionError("flatten depth must not be negative")
    result: list[Any] = []
    _flatten_into(result, members(value), depth)
    return result


def _flatten_into(result: list[Any], items: list[Any], depth: int) -> None:
    for item in items:
        if type(item) is list and depth > 0:
            _flatten_into(result, item, depth - 1)
        else:
            result.append(item)
    if len(result) > MAX_ITEMS:
        raise BeyondTier0("long array")


def contains(value: Any, other: Any) -> bool:
    """Tell whether a value holds another: part of a string, members of an array or object."""
    if kind(value) != kind(other) or (type(value) is bool and value is not other):
        raise ExpressionError(
            f"{kind(value)} ({shown(value)}) and {kind(other)} ({shown(other)})"
            " cannot have their containment checked"
        )
    return _contains(value, other)


def _contains(value: Any, other: Any) -> bool:
    cls = type(value)
    if cls is not type(other):
        return equal(value, other)
    if cls is dict:
        return all(name in value and _contains(value[name], item) for name, item in other.items())
    if cls is list:
        if len(value) * len(other) > MAX_ITEMS:
            raise BeyondTier0("long arrays")
        return all(any(_contains(mine, item) for mine in value) for item in other)
    if cls is str:
        return other in value
    return equal(value, other)


def inside(value: Any, other: Any) -> bool:
    """Tell whether another value contains this one."""
    return contains(other, value)


def starts_with(value: Any, prefix: Any) -> bool:
    """Tell whether a string begins with another."""
    if type(value) is not str or type(prefix) is not str:
        raise ExpressionError("startswith() requires string inputs")
    return value.startswith(prefix)


def ends_with(value: Any, suffix: Any) -> bool:
    """Tell whether a string ends with another."""
    if type(value) is not str or type(suffix) is not str:
        raise ExpressionError("endswith() requires string inputs")
    return value.endswith(suffix)


def _strings(value: Any, other: Any) -> None:
    if type(value) is not str or type(other) is not str:
        raise BeyondTier0("not strings")


def left_trim_text(value: Any, prefix: Any) -> str:
    """Remove a prefix."""
    _strings(value, prefix)
    return str(value.removeprefix(prefix))


def right_trim_text(value: Any, suffix: Any) -> str:
    """Remove a suffix."""
    _strings(value, suffix)
    return str(value.removesuffix(suffix))


def trim(value: Any) -> str:
    """Remove spaces on both sides."""
    return _plain_text(value).strip(" \t\n\r\f\v")


def left_trim(value: Any) -> str:
    """Remove spaces in front."""
    return _plain_text(value).lstrip(" \t\n\r\f\v")


def right_trim(value: Any) -> str:
    """Remove spaces at the end."""
    return _plain_text(value).rstrip(" \t\n\r\f\v")


def _plain_text(value: Any) -> str:
    """Return an ASCII string; what counts as a space beyond that is the engine's affair."""
    if type(value) is not str or not value.isascii():
        raise BeyondTier0("not a plain string")
    return value


def split(value: Any, separator: Any) -> list[str]:
    """Split a string."""
    if type(value) is not str or type(separator) is not str:
        raise ExpressionError("split input and separator must be strings")
    return split_text(value, separator)


def join(value: Any, separator: Any) -> str:
    """Put the members together as one string."""
    if type(separator) is not str:
        raise BeyondTier0("not a string")
    parts = [_joined(item) for item in members(value)]
    return bounded_text(separator.join(parts))


def _joined(item: Any) -> str:
    if item is None:
        return ""
    if type(item) is dict or type(item) is list:
        raise BeyondTier0("not text")
    return to_text(item)


def down_case(value: Any) -> str:
    """Turn the letters A to Z into small ones."""
    if type(value) is not str:
        raise BeyondTier0("not a string")
    return value.translate(_UPPER)


def up_case(value: Any) -> str:
    """Turn the letters a to z into capitals."""
    if type(value) is not str:
        raise BeyondTier0("not a string")
    return value.translate(_LOWER)


def indices(value: Any, wanted: Any) -> Any:
    """Return all places where a string or an item occurs."""
    if type(value) is str and type(wanted) is str and wanted:
        return _text_indices(value, wanted)
    if type(value) is list and type(wanted) is not list:
        return [at for at, item in enumerate(value) if equal(item, wanted)]
    if value is None:
        return member(value, wanted)
    raise BeyondTier0("an unusual search")


def _text_indices(text: str, wanted: str) -> list[int]:
    found: list[int] = []
    at = text.find(wanted)
    while at >= 0:
        found.append(at)
        at = text.find(wanted, at + 1)
    return found


def index(value: Any, wanted: Any) -> Any:
    """Return the first place."""
    found = indices(value, wanted)
    return found[0] if found else None


def last_index(value: Any, wanted: Any) -> Any:
    """Return the last place."""
    found = indices(value, wanted)
    return found[-1] if found else None


def fail(value: Any) -> Any:
    """Raise the value as an error."""
    if value is None:
        raise BeyondTier0("an error without a message")
    message = value if type(value) is str else json.dumps(value)
    raise ExpressionError(message, value)


def from_json(value: Any) -> Any:
    """Read a JSON text."""
    if type(value) is not str or len(value) > MAX_STRING:
        raise BeyondTier0("not a short string")
    try:
        return json.loads(value, parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        raise BeyondTier0("not JSON") from None


def _refuse(text: str) -> Any:
    raise BeyondTier0(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BeyondTier0(text)
    return value


def to_array(value: Any) -> Any:
    """Put a value that is not an array into one."""
    return value if type(value) is list else [value]


def utf8_length(value: Any) -> int:
    """Return the number of bytes of a string."""
    if type(value) is not str:
        raise _complaint(value, "only strings have UTF-8 byte length")
    return len(value.encode("utf-8", "replace"))


def explode(value: Any) -> list[int]:
    """Return the code points of a string."""
    if type(value) is not str or len(value) > MAX_ITEMS:
        raise BeyondTier0("not a short string")
    return [ord(character) for character in value]


def to_base64(value: Any) -> str:
    """Encode the text in base64."""
    text = to_text(value)
    if OPENING in text and (made := transformed(text, "base64")) is not None:
        return made
    return base64.b64encode(text.encode()).decode()


def from_base64(value: Any) -> str:
    """Decode base64; anything but its canonical form is left to the engine."""
    text = to_text(value)
    try:
        data = base64.b64decode(text, validate=True)
        decoded = data.decode()
    except (binascii.Error, ValueError):
        raise BeyondTier0("not canonical base64") from None
    if base64.b64encode(data).decode() != text:
        raise BeyondTier0("not canonical base64")
    return decoded


def to_html(value: Any) -> str:
    """Escape the text for HTML."""
    return to_text(value).translate(_HTML)


def to_csv(value: Any) -> str:
    """Write a row of comma-separated values."""
    return ",".join(_cell(item, _csv_text) for item in _row(value))


def to_tsv(value: Any) -> str:
    """Write a row of tab-separated values."""
    return "\t".join(_cell(item, _tsv_text) for item in _row(value))


def _row(value: Any) -> list[Any]:
    if type(value) is not list:
        raise BeyondTier0("not a row")
    return value


def _cell(item: Any, write_text: Callable[[str], str]) -> str:
    if item is None:
        return ""
    if type(item) is str:
        if "\0" in item:
            raise BeyondTier0("an unusual character")
        return write_text(item)
    if type(item) is list or type(item) is dict:
        raise BeyondTier0("not a cell")
    return to_json(item)


def _csv_text(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _tsv_text(text: str) -> str:
    return text.translate(_TSV)


def to_uri(value: Any) -> str:
    """Escape the text for a URI."""
    text = to_text(value)
    if OPENING in text and (made := transformed(text, "uri")) is not None:
        return made
    return quote(text, safe="-._~")


def to_string(value: Any) -> str:
    """Return a string as it is and anything else as JSON; a secret may be no string."""
    text = to_text(value)
    return (transformed(text, "text") or text) if is_marker(text) else text


VALUE_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "length": length,
    "not": not_,
    "type": kind,
    "keys": keys,
    "keys_unsorted": keys_unsorted,
    "to_entries": to_entries,
    "from_entries": from_entries,
    "floor": floor,
    "ceil": ceil,
    "round": round_,
    "sqrt": sqrt,
    "abs": absolute,
    "tostring": to_string,
    "tojson": to_json,
    "fromjson": from_json,
    "tonumber": to_number,
    "toboolean": to_boolean,
    "sort": sort,
    "unique": unique,
    "min": smallest,
    "max": largest,
    "reverse": reverse,
    "add": total,
    "any": any_,
    "all": all_,
    "flatten": flatten,
    "trim": trim,
    "ltrim": left_trim,
    "rtrim": right_trim,
    "ascii_downcase": down_case,
    "ascii_upcase": up_case,
    "error": fail,
    "toarray": to_array,
    "utf8bytelength": utf8_length,
    "explode": explode,
}
ARGUMENT_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "has": has,
    "contains": contains,
    "inside": inside,
    "startswith": starts_with,
    "endswith": ends_with,
    "ltrimstr": left_trim_text,
    "rtrimstr": right_trim_text,
    "split": split,
    "join": join,
    "index": index,
    "rindex": last_index,
    "indices": indices,
    "flatten": flatten,
}
FORMAT_FUNCTIONS: dict[str, Callable[[Any], str]] = {
    "text": to_text,
    "json": to_json,
    "base64": to_base64,
    "base64d": from_base64,
    "uri": to_uri,
    "html": to_html,
    "csv": to_csv,
    "tsv": to_tsv,
}
_CHEAP_WORDS = """
    length not type floor ceil round sqrt abs tonumber toboolean has startswith endswith
    toarray error
"""
CHEAP = frozenset(_CHEAP_WORDS.split())
"""Functions whose cost does not grow with their input."""
_FLAT_WORDS = """
    keys keys_unsorted to_entries from_entries reverse trim ltrim rtrim ascii_downcase
    ascii_upcase ltrimstr rtrimstr split any all explode utf8bytelength
"""
FLAT = frozenset(_FLAT_WORDS.split())
"""Functions that look at the members of their input but not into them."""
