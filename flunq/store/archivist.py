"""DuckDB at work on a lake: sorts rows into Parquet files, merges files, reads one execution."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import msgspec

from flunq.core.events import DELETED, ENGINE
from flunq.store.bare_duckdb import duckdb
from flunq.store.columns import ORDER, files_sql, literal, rows_sql
from flunq.store.lake import SCRATCH, LakeFile, sync_folder
from flunq.store.merging import groups_of, limits, ranges
from flunq.store.writing import Events, Merge, Read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flunq.store.spool import Spool

T = TypeVar("T")

MEMORY = "72MB"
READING_MEMORY = "40MB"
"""What one execution needs; somebody reads while another process merges."""
MORE_MEMORY = ("120MB", "400MB")
"""For rows of a kind that nobody foresaw: a file that took much memory is better than none."""
ROW_GROUP = 32_768
"""Small enough that one execution is found by reading little, large enough to compress well."""
REMOVALS = f"('{DELETED}', '{ENGINE}execution.expired')"
"""Events after which an id may be used again."""
FRESH_GROUP = 8_192
"""Rows in a group of a fresh file, which is soon merged piece by piece."""
GROUP_BYTES = 8 << 20
"""A row group is in memory as a whole while it is written."""
VECTOR = 2_048
"""Rows that DuckDB always works on together."""
_LEAST_OBJECT = 1 << 20
_FETCH = 64
_MOST_EVENTS = 1_000
"""So many events are sorted for one answer."""


class Archivist:
    """Makes the files of one lake; runs in the writer process only."""

    def __init__(self, folder: Path, tenant: str) -> None:
        self._folder = folder
        self._tenant = tenant
        self._scratch = folder / SCRATCH
        self._connection: duckdb.DuckDBPyConnection | None = None

    def store(self, spool: Spool) -> list[LakeFile]:
        """Make a file of each day's rows; on disk when this returns."""
        files = []
        for day in spool.take():
            rows = rows_sql(str(day.path), longest=max(day.longest + 1, _LEAST_OBJECT))
            path, size = self._file(f"{rows} ORDER BY {ORDER}", day.day, FRESH_GROUP)
            files.append(day.lake_file(path, size))
            day.path.unlink()
        return files

    def merge(self, order: Merge) -> list[LakeFile]:
        """Make one file of several files of a day, without what was scrubbed."""
        day = order.files[0].day
        paths = [str(self._folder / file.path) for file in order.files]
        source = f"SELECT * FROM ({files_sql(paths)}) WHERE {_condition(order)}"  # noqa: S608 - literals
        row_bytes = sum(f.raw for f in order.files) // max(1, sum(f.rows for f in order.files))
        pieces = self._pieces(source, paths, row_bytes)
        try:
            path, size = self._file(files_sql(map(str, pieces)), day, _group(row_bytes))
        finally:
            for piece in pieces:
                piece.unlink()
        file = self._described(path, size, day, order.level)
        if file is None:
            (self._folder / path).unlink()
            return []
        return [msgspec.structs.replace(file, raw=file.rows * row_bytes)]

    def _pieces(self, source: str, paths: list[str], row_bytes: int) -> list[Path]:
        """Sort the rows range by range; the pieces one after another are sorted as a whole."""
        with self._cursor() as cursor:
            cuts = limits(groups_of(cursor, paths, row_bytes=row_bytes))
        pieces = []
        for condition in ranges(cuts):
            piece = self._draft()
            query = f"{source} AND ({condition}) ORDER BY {ORDER}"
            self._copy(query, piece, "lz4", _group(row_bytes))
            pieces.append(piece)
        return pieces

    def read(self, order: Read) -> Events:
        """Return some events of an execution."""
        with self._at_most(READING_MEMORY):
            return self._generously(lambda: self._events(order))

    def _events(self, order: Read) -> Events:
        source = files_sql(str(self._folder / path) for path in order.files)
        seq, position = self._life(source, order.execution)
        query = (
            f"SELECT seq, type, strftime(time, '%Y-%m-%dT%H:%M:%S.%fZ'), source, workflow, "  # noqa: S608 - literals
            f"partition, traceparent, data FROM ({source}) WHERE execution_id = $execution "
            f"AND (journal_seq > {seq} OR journal_seq = {seq} AND position > {position}) "
            f"AND seq > $after AND seq < $before ORDER BY seq LIMIT {_MOST_EVENTS}"
        )
        items: list[msgspec.Raw] = []
        size = 0
        with self._cursor() as cursor:
            cursor.execute(
                query,
                {"execution": order.execution, "after": order.after, "before": order.before},
            )
            while rows := cursor.fetchmany(_FETCH):
                for row in rows:
                    event = self._event(order.execution, row)
                    size += len(event)
                    if items and size > order.max_bytes:
                        return Events(items=items, more=True)
                    items.append(msgspec.Raw(event))
        return Events(items=items, more=len(items) == _MOST_EVENTS)

    def _life(self, source: str, execution: str) -> tuple[int, int]:
        """Return the place after which the last execution with this id begins.

        An id is free again once its execution was deleted.
        """
        places = (
            f"SELECT journal_seq, position, type IN {REMOVALS} FROM ({source}) "  # noqa: S608 - literals
            "WHERE execution_id = $execution"
        )
        with self._cursor() as cursor:
            rows = cursor.execute(
                f"SELECT * FROM ({places} ORDER BY 1 DESC, 2 DESC LIMIT 1) UNION ALL "  # noqa: S608 - literals
                f"({places} AND type IN {REMOVALS} ORDER BY 1 DESC, 2 DESC LIMIT 2)",
                {"execution": execution},
            ).fetchall()
        removals = sorted((row[:2] for row in rows[1:]), reverse=True)
        if rows and rows[0][2]:
            removals = removals[1:]
        return removals[0] if removals else (0, 0)

    def _event(self, execution: str, row: tuple[Any, ...]) -> bytes:
        seq, kind, time, source, workflow, partition, traceparent, data = row
        members = {
            "specversion": "1.0",
            "id": f"{execution}:{seq}",
            "source": source,
            "type": kind,
            "subject": execution,
            "time": time,
            "datacontenttype": "application/json",
            "tenant": self._tenant,
            "workflow": workflow,
            "partition": partition,
            "seq": seq,
            "data": msgspec.Raw(data.encode()),
        }
        if traceparent is not None:
            members["traceparent"] = traceparent
        return msgspec.json.encode(members)

    def _file(self, query: str, day: str, group: int) -> tuple[str, int]:
        """Make a file of the lake; it is on disk when this returns its path and size."""
        draft = self._draft()
        self._copy(query, draft, "zstd", group)
        target = self._folder / f"day={day}"
        target.mkdir(exist_ok=True)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(target / draft.name)
        sync_folder(target)
        sync_folder(self._folder)
        return f"day={day}/{draft.name}", (target / draft.name).stat().st_size

    def _draft(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch / f"{uuid4().hex}.parquet"

    def _copy(self, query: str, path: Path, compression: str, group: int) -> None:
        """Write the rows of a query in their order; a second try may take more memory."""
        copy = (
            f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, "
            f"COMPRESSION {compression}, PARQUET_VERSION v2, ROW_GROUP_SIZE {group})"
        )
        with self._cursor() as cursor, self._at_most(MEMORY):
            self._generously(lambda: cursor.execute(copy))

    def _generously(self, work: Callable[[], T]) -> T:
        """Do something; if memory does not suffice, do it once more with more of it."""
        for more in MORE_MEMORY:
            try:
                return work()
            except duckdb.OutOfMemoryException:
                with self._cursor() as cursor:
                    cursor.execute(f"SET memory_limit = '{more}'")
        return work()

    @contextmanager
    def _at_most(self, memory: str) -> Iterator[None]:
        """Use no more than this at first; afterwards the usual."""
        with self._cursor() as cursor:
            cursor.execute(f"SET memory_limit = '{memory}'")
            try:
                yield
            finally:
                cursor.execute(f"SET memory_limit = '{MEMORY}'")

    def _described(self, path: str, size: int, day: str, level: int) -> LakeFile | None:
        source = files_sql([str(self._folder / path)])
        with self._cursor() as cursor:
            row = cursor.execute(
                "SELECT count(*), min(journal_seq), max(journal_seq), min(execution_id), "  # noqa: S608 - literals
                f"max(execution_id) FROM ({source})"
            ).fetchone()
        if row is None or row[0] == 0:
            return None
        return LakeFile(
            path=path,
            rows=row[0],
            bytes=size,
            first_seq=row[1],
            last_seq=row[2],
            day=day,
            first_execution=row[3],
            last_execution=row[4],
            level=level,
        )

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield DuckDB with bounds on what it takes; opened with the first use."""
        if self._connection is None:
            self._connection = duckdb.connect(
                config={
                    "memory_limit": MEMORY,
                    "threads": 1,
                    "temp_directory": str(self._scratch / "sorting"),
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                }
            )
            # The process has no other time zone than that of the events.
            self._connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        yield self._connection


def _group(row_bytes: int) -> int:
    """Return how many rows of this size make a row group."""
    return min(ROW_GROUP, max(VECTOR, GROUP_BYTES // max(1, row_bytes)))


def _condition(order: Merge) -> str:
    parts = [
        f"NOT (execution_id = {literal(gone.execution)} AND journal_seq <= {gone.upto})"
        for gone in order.scrubbed
    ]
    if order.below is not None:
        parts.append(f"journal_seq < {order.below}")
    return " AND ".join(parts) or "true"
