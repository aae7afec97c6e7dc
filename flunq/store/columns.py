"""The columns of an event row, the same in the lake and in what is read from the journal.

Commits become rows in Python, because ``data`` must stay the very text that was recorded; rows
become columns in DuckDB, which reads them as newline-delimited JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COLUMNS: dict[str, str] = {
    "execution_id": "VARCHAR",
    "seq": "BIGINT",
    "type": "VARCHAR",
    "time": "TIMESTAMP",
    "source": "VARCHAR",
    "workflow": "VARCHAR",
    "partition": "INTEGER",
    "journal_seq": "BIGINT",
    "position": "INTEGER",
    "task": "VARCHAR",
    "step": "BIGINT",
    "traceparent": "VARCHAR",
    "data": "VARCHAR",
}
"""Name and DuckDB type of each column, in their order."""

ORDER = "execution_id, seq, journal_seq, position"
"""How the rows of a file are sorted."""

MAX_ROW_BYTES = 8 << 20
"""Default for the longest row as JSON; DuckDB reserves a multiple of it for reading."""


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of an execution."""

    execution_id: str
    seq: int
    type: str
    time: str
    source: str
    workflow: str
    partition: int
    journal_seq: int
    position: int
    task: str | None
    step: int | None
    traceparent: str | None
    data: str


class _Event(msgspec.Struct, gc=False):
    """The members of an event that have a column of their own."""

    type: str
    time: str
    source: str = ""
    subject: str = ""
    seq: int = 0
    workflow: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    traceparent: str | None = None


class _Place(msgspec.Struct, gc=False):
    """Where in the workflow an event belongs."""

    task: Any = None
    step: Any = None


_commit = msgspec.json.Decoder(list[_Event]).decode
_place = msgspec.json.Decoder(_Place).decode
_encode = msgspec.json.Encoder().encode_lines


def rows_of(data: bytes, *, partition: int, journal_seq: int) -> Iterator[Row]:
    """Return the rows of one journal record; the commit's own event has none."""
    for position, event in enumerate(_commit(data)):
        if event.subject:
            yield _row(event, partition, journal_seq, position)


def _row(event: _Event, partition: int, journal_seq: int, position: int) -> Row:
    data = bytes(event.data)
    task = step = None
    if data.startswith(b"{"):
        place = _place(data)
        task = place.task if isinstance(place.task, str) else None
        step = place.step if type(place.step) is int else None
    return Row(
        execution_id=event.subject,
        seq=event.seq,
        type=event.type,
        time=event.time,
        source=event.source,
        workflow=event.workflow,
        partition=partition,
        journal_seq=journal_seq,
        position=position,
        task=task,
        step=step,
        traceparent=event.traceparent,
        data=data.decode(),
    )


def encode_rows(rows: Iterable[Row]) -> bytes:
    """Return rows as newline-delimited JSON, as :func:`rows_sql` reads it."""
    return _encode(rows)


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def rows_sql(path: str, *, longest: int = MAX_ROW_BYTES) -> str:
    """Return a SELECT of a file that :func:`encode_rows` made; no row is longer than this."""
    kinds = ", ".join(f"{name}: '{_raw(kind)}'" for name, kind in COLUMNS.items())
    return (
        f"SELECT {column_list()} FROM read_json({literal(path)}, "  # noqa: S608 - a literal
        f"format = 'newline_delimited', columns = {{{kinds}}}, "
        f"maximum_object_size = {longest})"
    )


def column_list() -> str:
    """Return the columns, each as an expression over :func:`rows_sql`'s raw columns."""
    return ", ".join(
        f"CAST({name} AS {kind}) AS {name}" if kind == "TIMESTAMP" else name
        for name, kind in COLUMNS.items()
    )


def empty_sql() -> str:
    """Return a SELECT without rows that has the columns."""
    columns = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in COLUMNS.items())
    return f"SELECT {columns} WHERE false"


def files_sql(paths: Iterable[str]) -> str:
    """Return a SELECT over Parquet files of the lake, absolute paths; without files no rows."""
    listed = ", ".join(literal(path) for path in paths)
    if not listed:
        return empty_sql()
    columns = ", ".join(COLUMNS)
    return f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)"  # noqa: S608 - literals


def _raw(kind: str) -> str:
    return "VARCHAR" if kind == "TIMESTAMP" else kind
