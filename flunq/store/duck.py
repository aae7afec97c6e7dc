"""A DuckDB connection over a tenant's history that can read nothing else.

Imported by the child process of a query only: DuckDB is large, and a query is untrusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.store.bare_duckdb import duckdb
from flunq.store.columns import COLUMNS, empty_sql, files_sql, literal, rows_sql
from flunq.store.views import VIEWS, view_sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.store.query_job import Job, Limits, Sources

STARTED = "io.serverlessworkflow.workflow.started.v1"
DEFINITION_COLUMNS = {
    "namespace": "VARCHAR",
    "name": "VARCHAR",
    "version": "VARCHAR",
    "digest": "VARCHAR",
    "title": "VARCHAR",
    "latest": "BOOLEAN",
    "created_at": "BIGINT",
}
SCHEDULE_COLUMNS = {
    "namespace": "VARCHAR",
    "name": "VARCHAR",
    "version": "VARCHAR",
    "status": "VARCHAR",
    "schedule": "VARCHAR",
    "timezone": "VARCHAR",
    "overlap": "VARCHAR",
    "next_at": "BIGINT",
    "paused_at": "BIGINT",
    "reason": "VARCHAR",
    "pending": "BIGINT",
}
NOTICE_COLUMNS = {
    "rule": "VARCHAR",
    "number": "BIGINT",
    "status": "VARCHAR",
    "time": "BIGINT",
    "since": "BIGINT",
    "delivery": "VARCHAR",
    "tries": "BIGINT",
    "problem": "VARCHAR",
}
STREAM_COLUMNS = {
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "messages": "BIGINT",
    "bytes": "BIGINT",
    "max_bytes": "BIGINT",
    "subjects": "BIGINT",
    "first_at": "BIGINT",
    "last_at": "BIGINT",
    "consumers": "BIGINT",
    "replicas": "BIGINT",
}
CONSUMER_COLUMNS = {
    "stream": "VARCHAR",
    "name": "VARCHAR",
    "serves": "VARCHAR",
    "pending": "BIGINT",
    "unacked": "BIGINT",
    "redelivered": "BIGINT",
    "waiting": "BIGINT",
    "delivered_at": "BIGINT",
    "acked_at": "BIGINT",
}


def open_history(
    job: Job,
    tables: frozenset[str] | None = None,
    *,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> duckdb.DuckDBPyConnection:
    """Return a locked connection with the views that a query names; None is all of them."""
    connection = connection or connect(job)
    named = list(VIEWS) if tables is None else [name for name in VIEWS if name in tables]
    whole = bool(set(named) - {"events"})
    connection.execute("CREATE SCHEMA log")
    _load_tail(connection, job.sources)
    _create_events(connection, job, whole=whole)
    _create_knowledge(connection, job.sources, named)
    for name in named:
        connection.execute(f"CREATE VIEW {name} AS {view_sql(name)}")
    _lock(connection, job)
    return connection


def connect(job: Job) -> duckdb.DuckDBPyConnection:
    """Return a connection that has nothing yet, with the query's limits."""
    connection = prepare()
    limit(connection, job.limits)
    return connection


def prepare() -> duckdb.DuckDBPyConnection:
    """Return a connection that has nothing yet and fetches nothing from the network."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_unsigned_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def limit(connection: duckdb.DuckDBPyConnection, limits: Limits) -> None:
    """Let a connection use no more than a query may."""
    connection.execute(f"SET threads = {limits.threads}")
    connection.execute(f"SET memory_limit = '{limits.memory >> 20}MiB'")


def _load_tail(connection: duckdb.DuckDBPyConnection, sources: Sources) -> None:
    """Take in what was read from the journal, but not what the files have or must not have."""
    rows = empty_sql() if sources.tail is None else rows_sql(sources.tail)
    connection.execute(
        f"CREATE TABLE log.tail AS SELECT * FROM ({rows}) WHERE journal_seq > {sources.through}"  # noqa: S608 - a number
    )
    for each in sources.gone:
        connection.execute(
            "DELETE FROM log.tail WHERE execution_id = ? AND journal_seq <= ?",
            [each.execution, each.upto],
        )


def _create_events(connection: duckdb.DuckDBPyConnection, job: Job, *, whole: bool) -> None:
    columns = ", ".join(COLUMNS)
    connection.execute(
        f"CREATE VIEW log.stored AS SELECT * FROM (SELECT {columns} FROM log.tail "  # noqa: S608 - our own names
        f"UNION ALL {files_sql(job.sources.files)}) WHERE {_moment(job)}"
    )
    if whole and _has_reused_ids(connection):
        connection.execute(_RUNS)
    else:
        connection.execute(
            "CREATE VIEW log.events AS SELECT *, CAST(1 AS BIGINT) AS run FROM log.stored"
        )


def _moment(job: Job) -> str:
    """Return the condition that hides what came after ``--as-of``."""
    conditions = ["true"]
    if job.question.as_of_seq is not None:
        conditions.append(f"journal_seq <= {job.question.as_of_seq}")
    if job.question.as_of_time is not None:
        conditions.append(f"time <= make_timestamp({job.question.as_of_time})")
    return " AND ".join(conditions)


def _has_reused_ids(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an id was given to a second execution after the first was deleted."""
    connection.execute(
        "CREATE TABLE log.starts AS SELECT execution_id, list(journal_seq ORDER BY journal_seq) "  # noqa: S608 - a constant
        f"AS firsts FROM log.stored WHERE type = '{STARTED}' GROUP BY execution_id "
        "HAVING count(*) > 1"
    )
    row = connection.execute("SELECT count(*) FROM log.starts").fetchone()
    return bool(row and row[0])


_RUNS = """
CREATE VIEW log.events AS
SELECT e.*, coalesce(
    CAST(len(list_filter(s.firsts, lambda first: first <= e.journal_seq)) AS BIGINT), 1) AS run
FROM log.stored AS e LEFT JOIN log.starts AS s USING (execution_id)
"""


def _create_knowledge(
    connection: duckdb.DuckDBPyConnection, sources: Sources, named: Iterable[str]
) -> None:
    """Create what the cluster knows besides the events, as far as the views ask for it."""
    connection.execute(f"CREATE MACRO log.tenant() AS {literal(sources.tenant)}")
    connection.execute(f"CREATE MACRO log.connected() AS {str(sources.connected).lower()}")
    if "workflows" in named:
        _create_table(connection, "known_definitions", DEFINITION_COLUMNS, sources.definitions)
        connection.execute(
            "CREATE VIEW log.definitions AS "
            "SELECT *, make_timestamp(created_at) AS registered_at FROM log.known_definitions"
        )
    if "schedules" in named:
        _create_table(connection, "known_schedules", SCHEDULE_COLUMNS, sources.schedules)
        connection.execute(
            "CREATE VIEW log.schedules AS SELECT * REPLACE (CAST(schedule AS JSON) AS schedule, "
            "make_timestamp(next_at) AS next_at, make_timestamp(paused_at) AS paused_at) "
            "FROM log.known_schedules"
        )
    if "alerts" in named:
        _create_live(connection, "alerts", NOTICE_COLUMNS, sources.alerts, ("time", "since"))
    if "streams" in named:
        streams, moments = sources.capacity.streams, ("first_at", "last_at")
        _create_live(connection, "streams", STREAM_COLUMNS, streams, moments)
    if "consumers" in named:
        consumers, moments = sources.capacity.consumers, ("delivered_at", "acked_at")
        _create_live(connection, "consumers", CONSUMER_COLUMNS, consumers, moments)


def _create_live(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: dict[str, str],
    known: Iterable[msgspec.Struct],
    moments: tuple[str, ...],
) -> None:
    """Create what is known to the cluster alone, with moments instead of microseconds."""
    _create_table(connection, f"known_{name}", columns, known)
    replaced = ", ".join(f"make_timestamp({moment}) AS {moment}" for moment in moments)
    connection.execute(
        f"CREATE VIEW log.{name} AS SELECT * REPLACE ({replaced}) FROM log.known_{name}"  # noqa: S608 - names of ours
    )


def _create_table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: dict[str, str],
    known: Iterable[msgspec.Struct],
) -> None:
    described = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    connection.execute(f"CREATE TABLE log.{name} ({described})")
    marks = ", ".join("?" for _ in columns)
    for each in known:
        values = [_cell(getattr(each, column)) for column in columns]
        connection.execute(f"INSERT INTO log.{name} VALUES ({marks})", values)  # noqa: S608 - a name of ours


def _cell(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


def _lock(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Close the connection's doors: from here on it reads the tenant's files and nothing else."""
    allowed = list(job.sources.files)
    if job.parquet_path is not None:
        allowed.append(job.parquet_path)
    listed = ", ".join(literal(path) for path in allowed)
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
