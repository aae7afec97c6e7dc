"""Journal records, and what must be in a lake because of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from flunq.core.events import timestamp
from flunq.store.columns import files_sql
from flunq.store.lake import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flunq.log.ports import Journal
    from flunq.store.lake import Manifest

NOON = 1_795_262_400_000_000
"""2026-11-21 12:00 UTC."""
STARTED = "io.serverlessworkflow.workflow.started.v1"


def event(execution: str, seq: int, *, at: int = NOON, **members: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{execution}:{seq}",
        "source": "/flunq/default/node-1",
        "type": STARTED,
        "time": timestamp(at),
        "datacontenttype": "application/json",
        "subject": execution,
        "tenant": "default",
        "workflow": "shop/orders:1.0.0",
        "partition": 0,
        "seq": seq,
        "data": {"task": "/do/0/pay", "step": seq, "n": seq},
        **members,
    }


def commit(*events: dict[str, Any], number: int = 1) -> bytes:
    head = {
        "specversion": "1.0",
        "id": f"default-0:{number}",
        "source": "/flunq/default/node-1",
        "type": "io.flunq.commit",
        "time": timestamp(NOON),
        "tenant": "default",
        "partition": 0,
        "data": {"number": number, "task": "not of an execution"},
    }
    return msgspec.json.encode([head, *events])


async def write(journal: Journal, commits: Iterable[bytes], *, partition: int = 0) -> int:
    """Append commits; returns the last sequence."""
    last = await journal.last(partition)
    seq = last.seq if last else 0
    for data in commits:
        seq = await journal.append(partition, data, expected=seq, headers={})
    return seq


async def write_executions(
    journal: Journal, count: int, *, prefix: str = "x", partition: int = 0, per_commit: int = 3
) -> int:
    """Append one commit for each execution, some events in it; returns the last sequence."""
    commits = [
        commit(*(event(f"{prefix}-{n:04}", seq) for seq in range(1, per_commit + 1)), number=n + 1)
        for n in range(count)
    ]
    return await write(journal, commits, partition=partition)


def manifest_of(folder: Path) -> Manifest:
    found = read_manifest(folder)
    assert found is not None
    return found


def through(folder: Path) -> int:
    found = read_manifest(folder)
    return found.through if found else 0


def places(folder: Path) -> list[tuple[int, int]]:
    """Return (journal sequence, position) of every row that counts, sorted."""
    return rows(folder, "journal_seq, position")


def rows(folder: Path, columns: str) -> list[tuple[Any, ...]]:
    """Return some columns of every row that counts, sorted."""
    found = read_manifest(folder)
    files = [str(folder / file.path) for file in found.files] if found else []
    with duckdb.connect() as connection:
        query = f"SELECT {columns} FROM ({files_sql(files)}) ORDER BY ALL"
        return connection.execute(query).fetchall()


async def expected_places(journal: Journal) -> list[tuple[int, int]]:
    """Return (journal sequence, position) of every event in the journal, sorted."""
    found = []
    for partition in await journal.partitions():
        async for record in journal.read(partition, after=0, upto=1 << 53):
            batch = msgspec.json.decode(record.data)
            found += [
                (record.seq, position) for position, each in enumerate(batch) if each.get("subject")
            ]
    return sorted(found)
