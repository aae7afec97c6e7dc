"""The answer to a query: rows as they come, all of them, or an Arrow table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from flunq.client.arrow import array_of, load_pyarrow
from flunq.errors import RejectedError
from flunq.store.query_job import Chunk, Done, Gap, Header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.store.query_job import Reply

Rows: TypeAlias = list[dict[str, Any]]


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a query found."""

    columns: list[str]
    kinds: list[str]
    """The SQL type of each column."""
    values: list[list[Any]]
    more: bool = False
    """There were more rows than were asked for."""
    gap: Gap | None = None
    """What the archive lacks and the journal has no more; the answer is not complete then."""

    def __len__(self) -> int:
        return len(self.values)

    def rows(self) -> Rows:
        """Return the rows as dictionaries."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]

    def arrow(self) -> Any:
        """Return the rows as a ``pyarrow.Table``; raises UsageError without pyarrow."""
        pyarrow = load_pyarrow()
        columns = zip(*self.values, strict=True) if self.values else ((),) * len(self.columns)
        arrays = [
            array_of(pyarrow, kind, values)
            for values, kind in zip(columns, self.kinds, strict=True)
        ]
        return pyarrow.Table.from_arrays(arrays, names=self.columns)


async def collect(replies: AsyncIterator[Reply]) -> SqlResult:
    """Return a whole answer; raises RejectedError when it has no columns."""
    header: Header | None = None
    values: list[list[Any]] = []
    done = Done(rows=0)
    async for reply in replies:
        if isinstance(reply, Header):
            header = reply
        elif isinstance(reply, Chunk):
            values += reply.rows
        elif isinstance(reply, Done):
            done = reply
    if header is None:
        raise RejectedError("the query gives no columns")
    return SqlResult(
        columns=header.names,
        kinds=header.kinds,
        values=values,
        more=done.more,
        gap=done.gap,
    )
