"""Asks the archive whether the query of a rule returns anything."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from flunq.client.sql import ask_cluster
from flunq.errors import RejectedError
from flunq.store.query_job import Chunk, Header, Limits, Question

if TYPE_CHECKING:
    from flunq.client import Client

MOST_ROWS = 20
"""So many rows are told; there may be more."""
SECONDS = 30.0
MEMORY = 512 << 20
_LINE = re.compile(r"\bLINE (\d+): ")


async def rows_of(client: Client, sql: str) -> list[dict[str, Any]]:
    """Return the first rows of a query; raises RejectedError, or UnavailableError."""
    question = Question(sql=sql, max_rows=MOST_ROWS)
    limits = Limits(memory=MEMORY, seconds=SECONDS)
    names: list[str] = []
    rows: list[dict[str, Any]] = []
    async with aclosing(ask_cluster(client, question, limits)) as replies:  # type: ignore[type-var]
        async for reply in replies:
            if isinstance(reply, Header):
                names = reply.names
            elif isinstance(reply, Chunk):
                rows += [dict(zip(names, row, strict=True)) for row in reply.rows]
    return rows


async def check_query(client: Client, sql: str) -> None:
    """Raise RejectedError if a query cannot run; it is planned, not run."""
    try:
        await rows_of(client, f"EXPLAIN\n{sql}")
    except RejectedError as error:
        message = _LINE.sub(lambda found: f"LINE {int(found[1]) - 1}: ", error.message)
        raise RejectedError(message, hint=error.hint) from None
