"""``flunq rewind``: take an execution back to an earlier point."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli import output
from flunq.cli.controlling import say_how_it_goes_on
from flunq.cli.engine import (  # Typer reads annotations
    ExecutionArgument,
    ReasonOption,
    connected,
    find_execution,
)

ToOption = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="SEQ|TASK",
        help="Right after this event, or just before this task began last.",
    ),
]


async def command(execution: ExecutionArgument, to: ToOption, reason: ReasonOption = "") -> None:
    """Take an execution that has ended, or is suspended, back to an earlier point.

    $ flunq rewind order-123 --to charge

    $ flunq rewind order-123 --to 17 --reason "wrong price"

    What came after that point is done again; its events stay in the history. One that was
    suspended stays so until it is resumed, one that had ended goes on at once.
    """
    async with connected() as client:
        known = await find_execution(client, execution)
        at = await client.control.point(known.id, to)
        details = await client.rewind(known.id, at=at, reason=reason)
    facts = {"id": details.id, "status": details.status, "point": at}
    output.emit(facts, plain=f"{details.id} {details.status}")
    say_how_it_goes_on(details.id, details.status)
