"""The answer to a query: rows as they come, all of them, or an Arrow table."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from flunq.errors import RejectedError, UsageError
from flunq.store.query_job import Chunk, Done, Header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.store.query_job import Reply

Rows: TypeAlias = list[dict[str, Any]]
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a query found."""

    columns: list[str]
    kinds: list[str]
    """The SQL type of each column."""
    values: list[list[Any]]
    more: bool = False
    """There were more rows than were asked for."""

    def __len__(self) -> int:
        return len(self.values)

    def rows(self) -> Rows:
        """Return the rows as dictionaries."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]

    def arrow(self) -> Any:
        """Return the rows as a ``pyarrow.Table``; raises UsageError without pyarrow."""
        try:
            pyarrow: Any = import_module("pyarrow")
        except ModuleNotFoundError:
            raise UsageError(
                "Arrow tables need pyarrow", hint="install it with: pip install 'flunq[arrow]'"
            ) from None
        columns = zip(*self.values, strict=True) if self.values else ((),) * len(self.columns)
        arrays = [
            pyarrow.array(list(values), type=_arrow_type(pyarrow, kind))
            for values, kind in zip(columns, self.kinds, strict=True)
        ]
        return pyarrow.Table.from_arrays(arrays, names=self.columns)


async def collect(replies: AsyncIterator[Reply]) -> SqlResult:
    """Return a whole answer; raises RejectedError when it has no columns."""
    header: Header | None = None
    values: list[list[Any]] = []
    more = False
    async for reply in replies:
        if isinstance(reply, Header):
            header = reply
        elif isinstance(reply, Chunk):
            values += reply.rows
        elif isinstance(reply, Done):
            more = reply.more
    if header is None:
        raise RejectedError("the query gives no columns")
    return SqlResult(columns=header.names, kinds=header.kinds, values=values, more=more)


def _arrow_type(pyarrow: Any, kind: str) -> Any:
    """Return the type of a column, so that one without values has it too; None: as its values."""
    if kind in _INTEGERS:
        return pyarrow.int64()
    plain = {"VARCHAR": pyarrow.string, "BOOLEAN": pyarrow.bool_, "DOUBLE": pyarrow.float64}
    return plain[kind]() if kind in plain else None
