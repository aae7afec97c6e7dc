"""``flunq diff``: two executions side by side."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import output
from flunq.cli.engine import connected, execution_ids, find_execution
from flunq.cli.exits import ExitCode

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.client.diffing import Side

_FILES = (".gz", ".flunq", ".json", ".jsonl")


SideArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID|FILE",
        help="An execution, or a file of flunq export.",
        autocompletion=execution_ids,
    ),
]


async def command(
    one: SideArgument,
    other: SideArgument,
    every: Annotated[
        bool, typer.Option("--all", help="Show the tasks that are the same, too.")
    ] = False,
) -> int:
    """Compare two executions task by task: status, attempts, inputs and outputs.

    $ flunq diff order-123 order-124

    $ flunq diff order-123.flunq.gz order-124 -o json

    It ends with 0 when they are the same, and with 1 when they differ. How long tasks took is
    shown, but is no difference.
    """
    from flunq.cli.rendering.diff import comparison_json, comparison_lines
    from flunq.client.diffing import compare

    async with AsyncExitStack() as stack:
        client: Client | None = None
        if not (_is_file(one) and _is_file(other)):
            client = await stack.enter_async_context(connected())
        found = compare(await _side(client, one), await _side(client, other))
    output.emit(comparison_json(found), lines=comparison_lines(found, every=every))
    return ExitCode.DONE if found.equal else ExitCode.FAILED


def _is_file(name: str) -> bool:
    return "/" in name or (name.endswith(_FILES) and Path(name).exists())


async def _side(client: Client | None, name: str) -> Side:
    from flunq.cli.exported import read_file
    from flunq.client.diffing import read_side, side_of

    if _is_file(name):
        export = read_file(Path(name), None)
        return side_of(export.header.execution, export.events)
    assert client is not None
    details = await find_execution(client, name)
    return await read_side(details, client.history(details.id))
