"""Files of ``flunq export`` in place of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics
from flunq.cli.engine import execution_ids
from flunq.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from flunq.store.exports import Export

MaybeExecutionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="The execution, or the unique beginning of its id.",
        autocompletion=execution_ids,
    ),
]
ExportOption = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="Read this file of flunq export; no cluster."),
]


def read_file(path: Path, execution: str | None) -> Export:
    """Return what a file says; it must be about the execution if one is named."""
    from flunq.store.exports import read_export

    export = read_export(path)
    found = export.header.execution.id
    if execution is not None and not found.startswith(execution):
        raise NotFoundError(f"the file holds execution {found}", where=str(path))
    if export.header.redacted:
        diagnostics.say(f"redacted: {', '.join(export.header.redacted)}")
    return export


def require_execution(execution: str | None) -> str:
    """Return the execution that was named."""
    if execution is None:
        raise UsageError("missing argument 'ID'", hint="name an execution, or a --file")
    return execution
