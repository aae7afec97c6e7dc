"""The history as Parquet files for notebooks: some executions, or all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.cli.engine import connected
from flunq.cli.progress import progress
from flunq.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {"executions": "id", "tasks": "execution_id", "events": "execution_id"}
"""What is written, and which column names the execution."""


async def export_parquet(
    folder: Path, where: str | None, *, force: bool = False
) -> list[dict[str, Any]]:
    """Write a file for each table; returns what was written."""
    from flunq.cli.selecting import write_parquet
    from flunq.store.tail import scratch_folder

    paths = _places(folder, force=force)
    written = []
    async with connected() as client:
        with scratch_folder() as scratch, progress("exporting") as shown:
            for table, path in paths.items():
                shown.update(f"exporting {table}")
                rows = await write_parquet(client, query_of(table, where), path, scratch)
                facts = {"file": str(path), "rows": rows, "bytes": path.stat().st_size}
                written.append(facts)
    return written


def _places(folder: Path, *, force: bool) -> dict[str, Path]:
    """Return where the files go; none of them is replaced unless that is wanted."""
    paths = {table: folder / f"{table}.parquet" for table in TABLES}
    for path in paths.values():
        if path.exists() and not force:
            raise UsageError("the file exists", hint="replace it with --force", where=str(path))
    folder.mkdir(parents=True, exist_ok=True)
    return paths


def query_of(table: str, where: str | None) -> str:
    """Return the query for a table's rows of the executions that are wanted."""
    if where is None:
        return f"SELECT * FROM {table}"  # noqa: S608 - the sandbox reads one tenant's rows and writes nothing
    chosen = f"(\nSELECT id FROM executions WHERE (\n{where}\n))"
    return f"SELECT * FROM {table} WHERE {TABLES[table]} IN {chosen}"  # noqa: S608 - as above
