"""Prints an answer while it comes: rows as a table, JSON, JSON lines, YAML or CSV."""

from __future__ import annotations

from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

from flunq.cli import output
from flunq.cli.session import OutputFormat, current
from flunq.cli.tables import Column, is_readable, render_records
from flunq.store.query_job import Chunk, Header

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.cli.tables import Kind
    from flunq.store.query_job import Reply

_NUMBERS = ("BIGINT", "INTEGER", "DOUBLE", "HUGEINT", "SMALLINT", "TINYINT", "UBIGINT", "FLOAT")


class Printer:
    """Takes the replies of one query. JSON lines are written as they come, the rest at the end."""

    def __init__(self, target: Path | None, *, vertical: bool | None = None) -> None:
        """With ``vertical`` a line per column; None: where a table has no room."""
        self._target = target
        self._vertical = vertical
        self._file: TextIO | None = None
        self._header: Header | None = None
        self._keys: list[str] = []
        self._rows: list[dict[str, Any]] = []

    def take(self, reply: Reply) -> None:
        """Take a header or some rows."""
        if isinstance(reply, Header):
            self._header = reply
            self._keys = unique(reply.names)
        elif isinstance(reply, Chunk):
            self._rows += [dict(zip(self._keys, row, strict=True)) for row in reply.rows]
            if current().output is OutputFormat.JSONL:
                self._write()

    def close(self) -> None:
        """Write what is left; nothing when there was no answer."""
        if self._header is not None and self._keys and current().output is not OutputFormat.JSONL:
            self._write()
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        if self._target is None:
            self._emit(rows)
            return
        if self._file is None:
            self._file = self._target.open("w", encoding="utf-8")
        with redirect_stdout(self._file):
            self._emit(rows)

    def _emit(self, rows: list[dict[str, Any]]) -> None:
        columns, plain, lines = self._columns(), self._plain(rows), None
        if rows and plain is None and current().output is OutputFormat.TABLE:
            wanted = self._vertical
            if not is_readable(rows, columns) if wanted is None else wanted:
                lines = render_records(rows, columns)
        output.emit(rows, columns=columns, plain=plain, lines=lines)

    def _columns(self) -> list[Column]:
        assert self._header is not None
        kinds = zip(self._keys, self._header.kinds, strict=True)
        return [Column(key, key, kind_of(kind)) for key, kind in kinds]

    def _plain(self, rows: list[dict[str, Any]]) -> str | None:
        """A plan is a drawing: its lines are kept."""
        if self._keys[:2] != ["explain_key", "explain_value"]:
            return None
        return "\n".join(str(row["explain_value"]).rstrip("\n") for row in rows)


def unique(names: list[str]) -> list[str]:
    """Return names that differ: of a second ``id`` it is ``id_2``."""
    seen: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        candidate = name if seen[name] == 1 else f"{name}_{seen[name]}"
        while candidate in result:
            seen[name] += 1
            candidate = f"{name}_{seen[name]}"
        result.append(candidate)
    return result


def kind_of(kind: str) -> Kind:
    """Return how a table shows a type of DuckDB."""
    if kind.startswith("DECIMAL") or kind in _NUMBERS:
        return "number"
    return "text"
