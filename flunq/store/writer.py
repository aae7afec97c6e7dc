"""The writer process of a lake: turns journal records into sorted Parquet files.

Started as ``python -I -m flunq.store.writer FOLDER TENANT``; reads frames from its standard input
and ends when that closes. It only ever makes new files: which of them count is the historian's to
say, in the manifest. So it may be killed at any moment.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import msgspec

from flunq.store.archivist import Archivist
from flunq.store.spool import Spool
from flunq.store.writing import (
    ANSWER,
    FAILURE,
    FRAME,
    ORDER,
    RECORDS,
    Flush,
    Merge,
    Order,
    split_records,
)

if TYPE_CHECKING:
    from typing import Any

_PR_SET_PDEATHSIG = 1
_ADDRESS_SPACE = 4 << 30
_order = msgspec.json.Decoder(Order).decode


def serve(folder: Path, tenant: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer orders until the source ends."""
    spool = Spool(folder, uuid4().hex[:12])
    archivist = Archivist(folder, tenant)
    spoiled = ""
    while frame := _frame(source):
        kind, body = frame
        try:
            if kind == RECORDS:
                _spool(spool, body)
                continue
            if spoiled:
                raise OSError(spoiled)
            answer = msgspec.json.encode(_carry_out(_order(body), spool, archivist))
        except Exception as error:  # noqa: BLE001 - whatever it is, the historian must hear of it
            # Records have no answer: the next order gets it, and no file is made without them.
            spoiled = f"{type(error).__name__}: {error}"
            if kind == ORDER:
                _send(sink, FAILURE, spoiled.encode())
        else:
            _send(sink, ANSWER, answer)


def _spool(spool: Spool, body: bytes) -> None:
    for seq, partition, data in split_records(body):
        spool.add(data, partition=partition, seq=seq)


def _carry_out(order: Order, spool: Spool, archivist: Archivist) -> Any:
    if isinstance(order, Flush):
        if spool.records != order.records:
            raise OSError(f"{spool.records} records came here, not {order.records}")
        return archivist.store(spool)
    if isinstance(order, Merge):
        return archivist.merge(order)
    return archivist.read(order)


def _frame(source: BinaryIO) -> tuple[bytes, bytes] | None:
    header = source.read(FRAME.size)
    if len(header) < FRAME.size:
        return None
    kind, size = FRAME.unpack(header)
    body = source.read(size)
    return (kind, body) if len(body) == size else None


def _send(sink: BinaryIO, kind: bytes, body: bytes) -> None:
    sink.write(FRAME.pack(kind, len(body)) + body)
    sink.flush()


def _lock_in(parent: int) -> None:
    """End with the historian, and never take the machine's memory."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    os.nice(5)


def main() -> None:
    """Run as the child of a historian."""
    folder, tenant, parent = sys.argv[1:]
    _lock_in(int(parent))
    serve(Path(folder), tenant, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
