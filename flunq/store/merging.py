"""Cuts a merge into pieces that are sorted one after another, so that memory stays small.

The files are sorted, so that every so-manieth key of each tells how the keys are spread: from that
follow ranges of keys with about equally many bytes. A range that is wide by mistake costs memory,
never rows: each row belongs to exactly one range, whatever the limits are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from flunq.store.columns import literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

PIECE_BYTES = 8 << 20
"""Bytes of rows, as JSON, that are sorted at once."""
STEP = 512
"""So many rows one sample stands for."""
_USUAL_ROW = 700


class Key(NamedTuple):
    """Where a row stands in the order of a file."""

    execution: str
    seq: int


class Group(NamedTuple):
    """Some rows that follow each other in a file: the key of the first, and their bytes."""

    first: Key
    bytes: int


def groups_of(
    connection: duckdb.DuckDBPyConnection, paths: Iterable[str], *, row_bytes: int
) -> list[Group]:
    """Return the rows of some files in groups, by their first keys."""
    size = STEP * (row_bytes or _USUAL_ROW)
    found: list[Group] = []
    for path in paths:
        rows = connection.execute(
            "SELECT execution_id, seq "  # noqa: S608 - a literal
            f"FROM read_parquet({literal(path)}, file_row_number = true) "
            f"WHERE file_row_number % {STEP} = 0"
        ).fetchall()
        found += [Group(Key(*row), size) for row in rows]
    return sorted(found)


def limits(groups: list[Group], *, piece: int = PIECE_BYTES) -> list[Key]:
    """Return the keys at which to cut, in order."""
    cuts: list[Key] = []
    size = 0
    for group in groups:
        if size and size + group.bytes > piece and (not cuts or group.first > cuts[-1]):
            cuts.append(group.first)
            size = 0
        size += group.bytes
    return cuts


def ranges(cuts: list[Key]) -> list[str]:
    """Return the conditions of the pieces, in order; together they cover every row once."""
    edges: list[Key | None] = [None, *cuts, None]
    return [_range(low, high) for low, high in pairwise(edges)]


def _range(low: Key | None, high: Key | None) -> str:
    parts = []
    if low is not None:
        name = literal(low.execution)
        parts.append(f"execution_id >= {name} AND (execution_id > {name} OR seq >= {low.seq})")
    if high is not None:
        name = literal(high.execution)
        parts.append(f"execution_id <= {name} AND (execution_id < {name} OR seq < {high.seq})")
    return " AND ".join(parts) or "true"
