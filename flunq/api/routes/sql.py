"""``POST /v1/sql``: a query over the past; the answer is made while it is sent."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from flunq.api.contract import JSON, Answer, ApiRoute, Call, Streamed
from flunq.api.problems import NotAcceptableError
from flunq.client.arrow import END, batch_of, load_pyarrow, schema_of
from flunq.client.sql import ask_cluster
from flunq.errors import RejectedError, UsageError
from flunq.store.query_job import Chunk, Done, Gap, Header, Limits, Question, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flunq.store.query_job import Reply as Part

    Parts: TypeAlias = AsyncGenerator[Part, None]

TAG = "sql"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
_encode = msgspec.json.Encoder().encode


class SqlRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query; ``$name`` in it stands for ``parameters.name``."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=100_000)]
    parameters: dict[str, Any] = {}
    max_rows: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    """No more rows than this; 0 returns all."""
    as_of_seq: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] | None = None
    """Only what was committed up to this position of the journal."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 60.0


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The names and types of the columns."""

    names: list[str]
    kinds: list[str]


class SqlAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as one JSON object. ``more``: there were more rows than were asked for."""

    columns: Columns
    rows: list[list[Any]]
    row_count: int
    more: bool
    gap: Gap | None = None
    """What the archive lacks and the journal has no more; the answer is not complete then."""


async def query(call: Call) -> Answer:
    """Run a query; what is wrong with it is said before the first row."""
    body: SqlRequest = call.body
    if call.media == ARROW:
        await _check_arrow()
    question = Question(
        sql=body.query,
        parameters=body.parameters,
        max_rows=body.max_rows,
        as_of_seq=body.as_of_seq,
    )
    asked = ask_cluster(call.client, question, Limits(seconds=body.timeout))
    assert isinstance(asked, AsyncGenerator)
    parts: Parts = asked
    async with AsyncExitStack() as unless_begun:
        unless_begun.push_async_callback(parts.aclose)
        header = await anext(parts)
        if not isinstance(header, Header):
            raise RejectedError("the query gives no columns")
        unless_begun.pop_all()
    chunks = _closing(parts, _FORMS[call.media](header, parts))
    return Streamed(chunks=chunks, media=_MEDIA[call.media])


async def _check_arrow() -> None:
    try:
        await asyncio.to_thread(load_pyarrow)  # it takes a while, the first time
    except UsageError as error:
        raise NotAcceptableError(
            "this process cannot make Arrow streams", hint=error.hint, offered=[JSON, NDJSON, CSV]
        ) from None


async def _closing(parts: Parts, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await parts.aclose()


async def _rows(parts: AsyncIterator[Part]) -> AsyncIterator[list[list[Any]] | Done]:
    async for part in parts:
        if isinstance(part, Refused):
            raise part.error()
        if isinstance(part, Chunk):
            yield part.rows
        elif isinstance(part, Done):
            yield part


async def _as_json(header: Header, parts: AsyncIterator[Part]) -> AsyncGenerator[bytes, None]:
    columns = Columns(names=header.names, kinds=header.kinds)
    yield b'{"columns":' + _encode(columns) + b',"rows":['
    between = b""
    async for rows in _rows(parts):
        if isinstance(rows, Done):
            end: dict[str, Any] = {"row_count": rows.rows, "more": rows.more}
            if rows.gap is not None:
                end["gap"] = rows.gap
            yield b"]," + _encode(end)[1:]
        elif rows:
            yield between + b",".join(map(_encode, rows))
            between = b","


async def _as_lines(header: Header, parts: AsyncIterator[Part]) -> AsyncGenerator[bytes, None]:
    async for rows in _rows(parts):
        if not isinstance(rows, Done):
            lines = (_encode(dict(zip(header.names, row, strict=True))) for row in rows)
            yield b"".join(line + b"\n" for line in lines)


async def _as_csv(header: Header, parts: AsyncIterator[Part]) -> AsyncGenerator[bytes, None]:
    yield _csv([header.names])
    async for rows in _rows(parts):
        if not isinstance(rows, Done):
            yield _csv([[_cell(value) for value in row] for row in rows])


async def _as_arrow(header: Header, parts: AsyncIterator[Part]) -> AsyncGenerator[bytes, None]:
    pyarrow = load_pyarrow()
    schema = schema_of(pyarrow, header.names, header.kinds)
    yield schema.serialize().to_pybytes()
    async for rows in _rows(parts):
        if not isinstance(rows, Done):
            yield batch_of(pyarrow, schema, header.kinds, rows).serialize().to_pybytes()
    yield END


def _csv(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list, bool)):
        return _encode(value).decode()
    return value


_FORMS: dict[str, Callable[[Header, AsyncIterator[Part]], AsyncIterator[bytes]]] = {
    JSON: _as_json,
    NDJSON: _as_lines,
    CSV: _as_csv,
    ARROW: _as_arrow,
}
_MEDIA = {
    JSON: JSON,
    NDJSON: NDJSON,
    CSV: "text/csv; charset=utf-8; header=present",
    ARROW: ARROW,
}

ROUTES = (
    ApiRoute(
        method="POST",
        path="/v1/sql",
        endpoint=query,
        name="runQuery",
        tag=TAG,
        role="viewer",
        body=SqlRequest,
        answer=SqlAnswer,
        media=(JSON, NDJSON, CSV, ARROW),
        summary="Ask anything about the past, in SQL.",
        description=(
            "One SELECT, in a sandbox, over the rows of the tenant. `Accept` chooses JSON, a JSON "
            "object a line, CSV, or an Arrow stream (where pyarrow is installed, with nested "
            "values as JSON text). An answer that breaks off is not complete: the connection is "
            "cut before its end."
        ),
        example={"query": "select workflow, count(*) as n from executions group by all"},
    ),
)
