"""What the historian and its writer process say to each other, as frames over pipes."""

from __future__ import annotations

import struct
from typing import TypeAlias

import msgspec

from flunq.store.lake import LakeFile, Scrubbed

FRAME = struct.Struct("!cI")
"""Kind and length of what follows."""
RECORD = struct.Struct("!qi")
"""Sequence and partition in front of a journal record."""
RECORDS, ORDER, ANSWER, FAILURE = b"r", b"o", b"a", b"f"


class Flush(msgspec.Struct, frozen=True, kw_only=True, tag="flush"):
    """Make files of the records that were sent; answered with a list of LakeFile."""

    records: int
    """How many there are: a writer that was started anew meanwhile knows fewer."""


class Merge(msgspec.Struct, frozen=True, kw_only=True, tag="merge"):
    """Make one file of several; answered with a list of at most one LakeFile."""

    files: list[LakeFile]
    level: int
    scrubbed: list[Scrubbed] = []
    """Leave these executions out."""
    below: int | None = None
    """Keep only rows with a smaller journal sequence."""


class Read(msgspec.Struct, frozen=True, kw_only=True, tag="read"):
    """Read an execution's events, in order, from ``after`` (exclusive); answered with Rows."""

    files: list[str]
    execution: str
    after: int
    before: int
    max_bytes: int


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Some events of one execution as JSON texts."""

    items: list[msgspec.Raw]
    more: bool = False


Order: TypeAlias = Flush | Merge | Read


def join_record(seq: int, partition: int, data: bytes) -> bytes:
    """Return a journal record as part of a RECORDS frame."""
    return FRAME.pack(b"-", RECORD.size + len(data)) + RECORD.pack(seq, partition) + data


def split_records(body: bytes) -> list[tuple[int, int, bytes]]:
    """Undo :func:`join_record` for all records of a frame."""
    found = []
    position = 0
    while position < len(body):
        _, size = FRAME.unpack_from(body, position)
        start = position + FRAME.size
        seq, partition = RECORD.unpack_from(body, start)
        position = start + size
        found.append((seq, partition, body[start + RECORD.size : position]))
    return found
