"""``flunq get``: everything about one execution but its history."""

from __future__ import annotations

from flunq.cli import output
from flunq.cli.engine import as_rows, connected, find_execution, for_terminal
from flunq.cli.exported import (
    ExportOption,
    MaybeExecutionArgument,
    read_file,
    require_execution,
)

_WIDTH = 400
"""Cells of a value on a terminal; -o json prints all of it."""


async def command(execution: MaybeExecutionArgument = None, file: ExportOption = None) -> None:
    """Show one execution: its status, input, output and what it waits for.

    $ flunq get order-123

    $ flunq get order-123 -o json | jq .output

    $ flunq get --file order-123.flunq.gz
    """
    from flunq.cli.rendering.executions import details_json, details_record
    from flunq.client.story import suspended_since

    since: int | None = None
    if file is not None:
        export = read_file(file, execution)
        details = export.header.execution
        for event in export.events:
            since = suspended_since(since, event)
    else:
        async with connected() as client:
            details = await find_execution(client, require_execution(execution))
            if details.status == "suspended":
                async for event in client.history(details.id):
                    since = suspended_since(since, event)
    since = since if details.status == "suspended" else None
    if as_rows():
        width = _WIDTH if for_terminal() else None
        record, columns = details_record(details, since, width=width)
        output.emit(record, columns=columns)
    else:
        output.emit(details_json(details, since))
