"""Rows of SQL as Arrow: a type for each kind of column, tables, and streams of batches."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""How a stream of batches ends."""
KIND = "flunq.kind"
"""Metadata of a column: its SQL type."""
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_encode = msgspec.json.Encoder().encode


def load_pyarrow() -> Any:
    """Return the library; raises UsageError where it is not installed."""
    try:
        return import_module("pyarrow")
    except ModuleNotFoundError:
        raise UsageError(
            "Arrow tables need pyarrow", hint="install it with: pip install 'flunq[arrow]'"
        ) from None


def type_of(pyarrow: Any, kind: str) -> Any:
    """Return the type of a column, so that one without values has it too; None: as its values."""
    if _is_list(kind):
        return None
    if kind in _INTEGERS:
        return pyarrow.int64()
    if kind.startswith("TIMESTAMP"):
        return pyarrow.timestamp("us", tz="UTC")
    if kind.startswith("DECIMAL"):
        return pyarrow.float64()
    plain = {
        "VARCHAR": pyarrow.string,
        "BOOLEAN": pyarrow.bool_,
        "DOUBLE": pyarrow.float64,
        "FLOAT": pyarrow.float64,
        "DATE": pyarrow.date32,
        "UBIGINT": pyarrow.uint64,
        "HUGEINT": lambda: pyarrow.decimal128(38, 0),
    }
    return plain[kind]() if kind in plain else None


def array_of(pyarrow: Any, kind: str, values: Sequence[Any]) -> Any:
    """Return a column of a table; nested values keep their shape."""
    read = _reader(kind)
    given = list(values) if read is None else [None if v is None else read(v) for v in values]
    return pyarrow.array(given, type=type_of(pyarrow, kind))


def schema_of(pyarrow: Any, names: Sequence[str], kinds: Sequence[str]) -> Any:
    """Return what all batches of a stream have in common; nested values are JSON text."""
    return pyarrow.schema(
        [
            pyarrow.field(name, type_of(pyarrow, kind) or pyarrow.string(), metadata={KIND: kind})
            for name, kind in zip(names, kinds, strict=True)
        ]
    )


def batch_of(pyarrow: Any, schema: Any, kinds: Sequence[str], rows: list[list[Any]]) -> Any:
    """Return some rows as one batch of a stream."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(kinds)
    arrays = [
        array_of(pyarrow, kind, values)
        if type_of(pyarrow, kind) is not None
        else pyarrow.array([_text(value) for value in values], type=pyarrow.string())
        for kind, values in zip(kinds, columns, strict=True)
    ]
    return pyarrow.record_batch(arrays, schema=schema)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else _encode(value).decode()


def _reader(kind: str) -> Callable[[Any], Any] | None:
    if kind.startswith("TIMESTAMP") and not _is_list(kind):
        return _moment
    return date.fromisoformat if kind == "DATE" else None


def _is_list(kind: str) -> bool:
    return kind.endswith("]")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
