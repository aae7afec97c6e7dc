"""One execution in one file that any other machine can read: gzip, one JSON object a line.

The first line is the header, the last one the end, which tells a whole file from a broken-off one;
between them stand the execution's CloudEvents in their order, with large values in place.
"""

from __future__ import annotations

import gzip
import os
import zlib
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import msgspec

from flunq.core.events import LazyEvent
from flunq.core.protocol import DefinitionText, Details
from flunq.errors import NotFoundError, RejectedError
from flunq.store.columns import encode_rows, rows_of
from flunq.store.query_job import Sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from flunq.store.columns import Row

VERSION = 1
_LEVEL = 6
_REASON = "the file is no export of flunq, or damaged"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what the file is, the execution and its definition."""

    format: Literal["flunq-execution"] = "flunq-execution"
    version: int = VERSION
    flunq: str
    """The version of flunq that wrote it."""
    exported_at: str
    tenant: str
    redacted: list[str] = []
    """What was taken out: paths of members, or ``payloads`` for all values."""
    execution: Details
    definition: DefinitionText | None = None
    """None if it is registered no more."""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last line: what came before it."""

    events: int
    crc32: int
    """Of all lines before this one, with their line feeds."""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says."""

    header: Header
    events: list[LazyEvent]

    def rows(self) -> Iterator[Row]:
        """Return the events as rows of the archive; each stands for a commit of its own."""
        for number, event in enumerate(self.events, 1):
            batch = _encode([{"type": "", "time": event.time}, event])
            yield from rows_of(batch, partition=event.partition, journal_seq=number)


class _Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    end: End


_encode = msgspec.json.Encoder().encode
_event = msgspec.json.Decoder(LazyEvent).decode


def write_export(path: Path, header: Header, events: Iterable[LazyEvent]) -> int:
    """Write a file for the eyes of its owner, whole or not at all; returns the events in it."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            count = _write(file, header, events)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)  # unless it is the file by now
    return count


def _write(file: Any, header: Header, events: Iterable[LazyEvent]) -> int:
    count = crc = 0
    # Neither a name nor a time in it: the same export is the same bytes.
    with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
        for line in _lines(header, events):
            packed.write(line)
            crc = zlib.crc32(line, crc)
            count += 1
        ending = _Ending(End(events=count - 1, crc32=crc))
        packed.write(_encode(ending) + b"\n")
    return count - 1


def _lines(header: Header, events: Iterable[LazyEvent]) -> Iterator[bytes]:
    yield _encode(header) + b"\n"
    for event in events:
        yield _encode(event) + b"\n"


def read_export(path: Path) -> Export:
    """Read a file; raises RejectedError when it is not whole, or of a newer kind."""
    try:
        with gzip.open(path) as file:
            lines = file.readlines()
    except FileNotFoundError:
        raise NotFoundError("there is no such file", where=str(path)) from None
    except (OSError, EOFError, zlib.error) as error:
        raise RejectedError(_REASON, where=str(path), reason=str(error)) from None
    if len(lines) < 2:
        raise RejectedError(_REASON, where=str(path))
    try:
        header = _header(lines[0], path)
        _check(lines)
        events = [_event(line) for line in lines[1:-1]]
    except (msgspec.MsgspecError, ValueError) as error:
        raise RejectedError(_REASON, where=str(path), reason=str(error)) from None
    return Export(header=header, events=events)


def export_sources(path: Path, scratch: Path) -> Sources:
    """Return what a query reads when a file is all that there is; the rows lie in ``scratch``."""
    export = read_export(path)
    rows = scratch / "export.jsonl"
    rows.write_bytes(encode_rows(export.rows()))
    return Sources(tenant=export.header.tenant, tail=str(rows))


def _header(line: bytes, path: Path) -> Header:
    found = msgspec.json.decode(line, type=dict[str, Any])
    version = found.get("version")
    if found.get("format") == "flunq-execution" and version != VERSION:
        raise RejectedError(
            f"the file has version {version} of the format; this flunq reads {VERSION}",
            hint="use the version of flunq that wrote it, or a newer one",
            where=str(path),
        )
    return msgspec.convert(found, Header)


def _check(lines: list[bytes]) -> None:
    end = msgspec.json.decode(lines[-1], type=_Ending).end
    crc = 0
    for line in lines[:-1]:
        crc = zlib.crc32(line, crc)
    if (end.events, end.crc32) != (len(lines) - 2, crc):
        raise ValueError("the last line does not fit what is before it")
