"""Where the executions lie that are not in memory: an index on disk, derived from the packs.

However many are kept, the process needs no memory for them. The index is a private temporary
SQLite file of the process; nobody misses it after a crash, for a new owner builds its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

CACHE_KIB = 8 * 1024
_SCHEMA = """
CREATE TABLE {table} (
    id TEXT PRIMARY KEY, pack INTEGER, status INTEGER, started INTEGER, due INTEGER, workflow TEXT,
    ended INTEGER
) WITHOUT ROWID
"""
_NAME = "substr(workflow, 1, instr(workflow, ':') - 1)"
"""A workflow without its version."""
_INDEXES = (
    "CREATE INDEX {table}_started ON {table} (started)",
    "CREATE INDEX {table}_due ON {table} (due) WHERE due > 0",
    "CREATE INDEX {table}_open ON {table} (id) WHERE ended = 0",
    f"CREATE INDEX {{table}}_ended ON {{table}} ({_NAME}, ended) WHERE ended > 0",
)
_UPSERT = "INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)"


class Place(NamedTuple):
    """Where one execution lies, and what lists and timers need to know of it."""

    id: str
    pack: int
    status: int
    """Index into ``STATUS_CODES``."""
    started_at: int
    due: int = 0
    """When its next timer fires; 0 if it has none."""
    workflow: str = ""
    ended_at: int = 0
    """0 if it has not ended."""


class PlaceBook:
    """The index of one process; each partition has a table of its own."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._tables = 0

    def partition(self) -> Places:
        """Return an empty index."""
        return Places(self)

    def connection(self) -> sqlite3.Connection:
        """Return the open file; one that nobody has written to costs nothing."""
        if self._connection is None:
            # The empty name is a temporary file that vanishes with the connection.
            self._connection = sqlite3.connect("", isolation_level=None)
            for pragma in (f"cache_size = -{CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF"):
                self._connection.execute(f"PRAGMA {pragma}")
        return self._connection

    def new_table(self) -> str:
        """Create a table and return its name."""
        self._tables += 1
        table = f"places_{self._tables}"
        connection = self.connection()
        connection.execute(_SCHEMA.format(table=table))
        for index in _INDEXES:
            connection.execute(index.format(table=table))
        return table

    def close(self) -> None:
        """Remove the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Places:
    """The index of one partition."""

    def __init__(self, book: PlaceBook) -> None:
        self._book = book
        self._table = ""
        self._greatest: dict[str, str] = {}
        """Of the ids that were put, by first character."""

    def __len__(self) -> int:
        return self._one("SELECT count(*) FROM {table}") or 0

    def __contains__(self, execution: str) -> bool:
        # Ids are drawn in the order of time: that of a new execution is beyond all of them.
        if execution > self._greatest.get(execution[:1], ""):
            return False
        return self._one("SELECT 1 FROM {table} WHERE id = ?", execution) is not None

    def __iter__(self) -> Iterator[Place]:
        return map(Place._make, self._rows("SELECT * FROM {table}"))

    def get(self, execution: str) -> Place | None:
        """Return where an execution lies."""
        for row in self._rows("SELECT * FROM {table} WHERE id = ?", execution):
            return Place._make(row)
        return None

    def put(self, places: Iterable[Place]) -> None:
        """Note where executions lie now."""
        if not self._table:
            self._table = self._book.new_table()
        connection = self._book.connection()
        connection.execute("BEGIN")
        connection.executemany(_UPSERT.format(table=self._table), map(self._noted, places))
        connection.execute("COMMIT")

    def _noted(self, place: Place) -> Place:
        execution = place.id
        if execution > self._greatest.get(execution[:1], ""):
            self._greatest[execution[:1]] = execution
        return place

    def pop(self, execution: str) -> Place | None:
        """Forget an execution and return where it lay."""
        place = self.get(execution)
        if place is not None:
            self._book.connection().execute(
                f"DELETE FROM {self._table} WHERE id = ?",  # noqa: S608 - a name of our own
                (execution,),
            )
        return place

    def open(self, but: Iterable[str]) -> int:
        """Return how many have not ended, without those named."""
        known = (
            "SELECT count(*) FROM {table} WHERE ended = 0 "
            "AND id NOT IN (SELECT value FROM json_each(?))"
        )
        return self._one(known, json.dumps([*but])) or 0

    def per_pack(self) -> Counter[int]:
        """Return how many executions each pack is the place of."""
        return Counter(dict(self._rows("SELECT pack, count(*) FROM {table} GROUP BY pack")))

    def due_until(self, moment: int) -> list[str]:
        """Return the executions with a timer due by then, those of one pack side by side."""
        query = "SELECT id FROM {table} WHERE due > 0 AND due <= ? ORDER BY pack"
        return [row[0] for row in self._rows(query, moment)]

    def next_due(self) -> int | None:
        """Return when the first timer of them all is due."""
        return self._one("SELECT min(due) FROM {table} WHERE due > 0")

    def ended_names(self) -> list[str]:
        """Return the workflows of ended executions, without their versions."""
        names: list[str] = []
        query = f"SELECT min({_NAME}) FROM {{table}} WHERE {_NAME} > ? AND ended > 0"  # noqa: S608 - a constant
        while True:
            for row in self._rows(query, names[-1] if names else ""):
                if row[0] is None:
                    return names
                names.append(row[0])
                break
            else:
                return names

    def ended_before(self, name: str, moment: int, limit: int) -> list[Place]:
        """Return executions of a workflow that ended before a moment, the oldest first."""
        query = (
            f"SELECT * FROM {{table}} WHERE {_NAME} = ? AND ended > 0 AND ended < ? "  # noqa: S608 - a constant
            "ORDER BY ended LIMIT ?"
        )
        return [Place._make(row) for row in self._rows(query, name, moment, limit)]

    def ended_at_rank(self, name: str, rank: int) -> int | None:
        """Return when the ended execution with so many newer ones of its workflow ended."""
        query = (
            f"SELECT ended FROM {{table}} WHERE {_NAME} = ? AND ended > 0 "  # noqa: S608 - a constant
            "ORDER BY ended DESC LIMIT 1 OFFSET ?"
        )
        return self._one(query, name, rank)

    def newest(
        self,
        before: tuple[int, str],
        *,
        statuses: Collection[int] | None = None,
        workflow: str | None = None,
        prefix: str = "",
    ) -> Iterator[tuple[int, str]]:
        """Yield (started_at, id), newest first; ``workflow`` is a pattern with ``*``."""
        query = "SELECT started, id FROM {table} WHERE (started, id) < (?, ?)"
        values: list[object] = [*before]
        if statuses is not None:
            query += f" AND status IN ({', '.join('?' * len(statuses))})"
            values += statuses
        if workflow is not None:
            query += " AND workflow GLOB ?"
            values.append(workflow)
        if prefix:
            query += " AND substr(id, 1, ?) = ?"
            values += [len(prefix), prefix]
        yield from self._rows(f"{query} ORDER BY started DESC, id DESC", *values)

    def close(self) -> None:
        """Give the space back."""
        if self._table:
            self._book.connection().execute(f"DROP TABLE {self._table}")
            self._table = ""

    def _rows(self, query: str, *values: object) -> Iterable[tuple]:  # type: ignore[type-arg]
        if not self._table:
            return ()
        return self._book.connection().execute(query.format(table=self._table), values)

    def _one(self, query: str, *values: object) -> int | None:
        for row in self._rows(query, *values):
            value: int | None = row[0]
            return value
        return None
