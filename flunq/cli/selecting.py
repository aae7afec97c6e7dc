"""Queries that a command asks for itself: rows in memory, or a Parquet file."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics
from flunq.cli.session import settings
from flunq.client.sql import ask_cluster, gather
from flunq.errors import UsageError
from flunq.store.lake import lake_folder
from flunq.store.query import QueryProcess
from flunq.store.query_job import Chunk, Done, Header, Job, Limits, Question
from flunq.store.tail import collect_tail, scratch_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.client import Client
    from flunq.store.query_job import Reply

TIMEOUT = 600.0


async def select(client: Client, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query over everything that was committed before."""
    if _is_elsewhere():
        return await _rows(ask_cluster(client, Question(sql=sql), Limits(seconds=TIMEOUT)))
    async with _asked(client, sql, None) as replies:
        return await _rows(replies)


async def _rows(replies: AsyncIterator[Reply]) -> list[dict[str, Any]]:
    names: list[str] = []
    rows: list[dict[str, Any]] = []
    async for reply in replies:
        if isinstance(reply, Header):
            names = reply.names
        elif isinstance(reply, Chunk):
            rows += [dict(zip(names, row, strict=True)) for row in reply.rows]
        elif isinstance(reply, Done):
            _warn_of_gap(reply)
    return rows


def _warn_of_gap(done: Done) -> None:
    if done.gap is not None:
        diagnostics.warn(str(done.gap), "see why: flunq lake status")


def _is_elsewhere() -> bool:
    """Tell whether the archive is on another machine: no data folder is named here."""
    return settings().origins["data"].source == "default"


async def write_parquet(client: Client, sql: str, path: Path, scratch: Path) -> int:
    """Write the rows of a query as Parquet; returns how many there are."""
    if _is_elsewhere():
        raise UsageError("Parquet is written where the archive is", hint="run it there")
    count = 0
    made = scratch / path.name
    async with _asked(client, sql, made) as replies:
        async for reply in replies:
            if isinstance(reply, Done):
                count = reply.rows
                _warn_of_gap(reply)
    shutil.move(made, path)
    return count


@asynccontextmanager
async def _asked(
    client: Client, sql: str, parquet: Path | None
) -> AsyncIterator[AsyncIterator[Reply]]:
    folder = lake_folder(settings().settings.data, client.tenant)
    with scratch_folder() as scratch, collect_tail(scratch) as tail:
        async with QueryProcess() as process:
            job = Job(
                sources=await gather(client, folder, tail, sql),
                question=Question(sql=sql, parquet=parquet is not None),
                limits=Limits(seconds=TIMEOUT),
                parquet_path=str(parquet) if parquet else None,
            )
            yield process.answer(job)
