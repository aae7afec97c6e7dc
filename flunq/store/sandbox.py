"""The child process of a query: reads one job from stdin, writes replies to stdout, and ends.

Its address space and processor time are limited by the kernel, because a query can allocate
what DuckDB's own limit does not count.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.errors import FlunqError, RejectedError
from flunq.store.query_job import Chunk, Done, Header, Job, Refused, Reply, decode_job

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from flunq.store.query_rules import Checked

HEADROOM = 1 << 30
"""Address space beyond DuckDB's limit: the interpreter, libraries, the stacks of threads."""
CHUNK = 200
LENGTH = 4
"""Bytes before each reply that say how long it is."""
HUGE = 256
_LINE = re.compile(r"^LINE \d+: ")
_NO_VALUE = "Values were not provided for the following parameters:"
_TOO_LARGE = "the query needs more memory than it may use"


def main() -> int:
    """Answer one job."""
    connection = _prepare()
    job = decode_job(sys.stdin.buffer.readline())
    limit_process(job)
    try:
        _answer(connection, job)
    except MemoryError:
        _say(Refused(message=_TOO_LARGE, hint=_smaller(), kind="limit"))
    except FlunqError as error:
        _say(Refused(message=error.message, hint=error.hint))
    return 0


def _prepare() -> duckdb.DuckDBPyConnection:
    """Load what every job needs, while the parent still finds out what is to be read."""
    from importlib import import_module

    from flunq.store.duck import prepare

    import_module("flunq.store.query_rules")

    connection = prepare()
    # The first statement that looks into JSON sets a lot up.
    connection.execute("SELECT json_serialize_sql('SELECT 1')").fetchall()
    return connection


def limit_process(job: Job) -> None:
    """Set the kernel's limits, for this process only."""
    import resource

    space = job.limits.memory + HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    processor = int(job.limits.seconds * job.limits.threads) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    from flunq.store.bare_duckdb import duckdb
    from flunq.store.duck import limit, open_history
    from flunq.store.query_rules import check

    began = perf_counter()
    try:
        limit(connection, job.limits)
        checked = check(connection, job.question.sql)
        open_history(job, checked.tables, connection=connection)
        rows, more = _run(connection, checked, job)
    except duckdb.Error as error:
        _say(refusal(error))
    else:
        seconds = perf_counter() - began
        _say(Done(rows=rows, more=more, seconds=seconds, gap=job.sources.gap))


def _run(connection: duckdb.DuckDBPyConnection, checked: Checked, job: Job) -> tuple[int, bool]:
    parameters = job.question.parameters or None
    if job.parquet_path is not None:
        return _export(connection, checked, job.parquet_path, parameters), False
    result = connection.execute(checked.sql, parameters)
    names = [str(column[0]) for column in result.description or ()]
    kinds = [str(column[1]) for column in result.description or ()]
    if checked.kind == "SELECT" and any("TIME ZONE" in kind for kind in kinds):
        result = connection.execute(_without_zones(checked.sql, kinds), parameters)
    return _send(connection, names, kinds, job.question.max_rows)


def _without_zones(sql: str, kinds: list[str]) -> str:
    """Return the query with moments in UTC; a converter for zones is not part of Python."""
    names = [f"c{number}" for number in range(len(kinds))]
    cast = [
        f"{name}::TIMESTAMP"
        if kind == "TIMESTAMP WITH TIME ZONE"
        else f"{name}::VARCHAR"
        if "TIME ZONE" in kind
        else name
        for name, kind in zip(names, kinds, strict=True)
    ]
    return f"SELECT {', '.join(cast)} FROM ({sql}\n) AS t({', '.join(names)})"  # noqa: S608 - checked


def _export(
    connection: duckdb.DuckDBPyConnection, checked: Checked, path: str, parameters: Any
) -> int:
    from flunq.store.columns import literal

    if checked.kind != "SELECT":
        raise RejectedError("only a SELECT can be written as Parquet")
    copied = connection.execute(
        f"COPY ({checked.sql}\n) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)", parameters
    ).fetchone()
    _say(Header(names=[], kinds=[]))
    return int(copied[0]) if copied else 0


def _send(
    connection: duckdb.DuckDBPyConnection, names: list[str], kinds: list[str], most: int
) -> tuple[int, bool]:
    """Write the rows as they come; tell whether there were more than ``most``."""
    _say(Header(names=names, kinds=kinds))
    cells = [_converter(kind) for kind in kinds]
    count = 0
    while rows := connection.fetchmany(CHUNK):
        more = bool(most) and count + len(rows) > most
        if more:
            rows = rows[: most - count]
        count += len(rows)
        _say(Chunk(rows=[[f(v) for f, v in zip(cells, row, strict=True)] for row in rows]))
        if more:
            return count, True
    return count, False


def _converter(kind: str) -> Callable[[Any], Any]:
    if kind == "JSON":
        return _raw
    if kind in ("VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN"):
        return _same
    return plain


def _same(value: Any) -> Any:
    return value


def _raw(value: Any) -> Any:
    return None if value is None else msgspec.Raw(value.encode())


def plain(value: Any) -> Any:
    """Return a value of DuckDB as one of JSON."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat(timespec="microseconds") + "Z"
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def refusal(error: duckdb.Error) -> Refused:
    """Return DuckDB's message without its jargon, with the line and the caret."""
    text = str(error)
    if "Out of Memory" in text or "bad_alloc" in text or "Failed to allocate" in text:
        return Refused(message=_TOO_LARGE, hint=_smaller(), kind="limit")
    first, *rest = text.strip().splitlines()
    message = first.partition(": ")[2] if ": " in first else first
    shown = [line for line in _excerpt(rest) if line.strip()]
    return Refused(message="\n".join([message, *shown]), hint=_suggestion([message, *rest]))


def _suggestion(lines: list[str]) -> str | None:
    """Return which name was probably meant, or how a parameter is given."""
    for line in lines:
        if line.startswith(_NO_VALUE):
            name = line.removeprefix(_NO_VALUE).split(",")[0].strip()
            return f"give each a value: -p {name}=VALUE"
        if line.startswith("Candidate bindings"):
            return f"did you mean {line.partition(': ')[2].split(',')[0].strip()}?"
        if line.startswith("Did you mean"):
            return f"did you mean {line.removeprefix('Did you mean').strip()}"
    return None


def _excerpt(lines: list[str]) -> list[str]:
    """Return the line of the query and the caret below it."""
    for number, line in enumerate(lines):
        if _LINE.match(line):
            return [f"  {each}"[:HUGE] for each in lines[number : number + 2]]
    return []


def _smaller() -> str:
    return "ask for less at once: filter, aggregate, or use -n; or allow more with --memory"


_encode = msgspec.json.Encoder(enc_hook=str).encode


def _say(reply: Reply) -> None:
    body = _encode(reply)
    sys.stdout.buffer.write(len(body).to_bytes(LENGTH, "big") + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
