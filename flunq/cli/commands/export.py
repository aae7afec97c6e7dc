"""``flunq export``: an execution as one file, or the history as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import connected, execution_ids, find_execution
from flunq.cli.session import OutputFormat
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.store.redacting import Redaction

SUFFIX = ".flunq.gz"
_RedactPayloads = Annotated[
    bool, typer.Option("--redact-payloads", help="Take all values out, keep the structure.")
]


async def command(
    execution: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="The execution, or the unique beginning of its id.",
            autocompletion=execution_ids,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The file; ID.flunq.gz unless named."),
    ] = None,
    redact: Annotated[
        list[str] | None,
        typer.Option(
            "--redact",
            metavar="PATH",
            help="Take this member out wherever it occurs, such as customer.email; repeatable.",
        ),
    ] = None,
    redact_payloads: _RedactPayloads = False,
    parquet: Annotated[
        Path | None,
        typer.Option(
            "--parquet", metavar="DIR", help="Write events, executions and tasks for notebooks."
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="With --parquet: only these executions."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write an execution into one file: definition, events, all values.

    $ flunq export order-123 -o order.flunq.gz

    $ flunq export order-123 --redact customer.email --redact 'headers."x-api-key"'

    $ flunq history --file order-123.flunq.gz

    $ flunq export --parquet notebooks/june --where "started_at >= '2026-06-01'"

    get, history and sql read the file with --file, on any machine and without a cluster. What
    --redact names is taken out of every value at any depth; the document itself stays as it is.
    """
    if (execution is None) == (parquet is None):
        raise UsageError("name an execution, or a folder with --parquet", hint="flunq export ID")
    _refuse_a_format(file)
    redaction = _redaction(redact or (), redact_payloads)
    if execution is not None:
        _refuse_unless(where is None, "--where goes with --parquet")
        await _export_one(execution, file, redaction, force=force)
        return
    assert parquet is not None
    _refuse_unless(file is None, "--parquet names the folder; there is no -o beside it")
    _refuse_unless(not redaction.names(), "Parquet files cannot be redacted")
    await _export_many(parquet, where, force=force)


def _refuse_unless(fine: bool, problem: str) -> None:
    if not fine:
        raise UsageError(problem)


def _refuse_a_format(file: Path | None) -> None:
    """Refuse ``-o json``, which everywhere else names a format and here would name a file."""
    if file is not None and str(file) in list(OutputFormat):
        raise UsageError(
            f"-o names the file here, and {file} is a format",
            hint=f"for what is printed as JSON: --json; for a file of that name: -o ./{file}",
        )


def _redaction(paths: Any, payloads: bool) -> Redaction:
    from flunq.store.redacting import Redaction, read_paths

    return Redaction(paths=read_paths(paths), payloads=payloads)


async def _export_one(
    execution: str, file: Path | None, redaction: Redaction, *, force: bool
) -> None:
    from flunq.client.export import export_execution

    async with connected() as client:
        known = await find_execution(client, execution)
        path = file or Path(f"{known.id}{SUFFIX}")
        if path.exists() and not force:
            raise UsageError("the file exists", hint="replace it with --force", where=str(path))
        if not path.parent.is_dir():
            raise UsageError("there is no such folder", where=str(path.parent))
        header, events = await export_execution(client, known.id, path, redaction=redaction)
    if header.execution.ended_at is None:
        diagnostics.warn(f"{known.id} has not ended: the file holds its first {events} events")
    if header.definition is None:
        diagnostics.warn("its definition is registered no more, so the file has none")
    facts = {"file": str(path), "id": known.id, "events": events, "bytes": path.stat().st_size}
    output.emit({**facts, "redacted": header.redacted}, plain=str(path))


async def _export_many(folder: Path, where: str | None, *, force: bool) -> None:
    from flunq.cli.parquet_export import export_parquet

    files = await export_parquet(folder, where, force=force)
    output.emit(files, plain="\n".join(each["file"] for each in files))
