"""``flunq cancel``: end executions."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli.controlling import control
from flunq.cli.engine import ExecutionsArgument, ReasonOption  # noqa: TC001 - Typer reads annotations


async def command(
    executions: ExecutionsArgument,
    reason: ReasonOption = "",
    yes: Annotated[bool, typer.Option("-y", "--yes", hidden=True)] = True,
) -> int:
    """Cancel executions: running tasks are told to stop, late results change nothing.

    $ flunq cancel order-123 --reason "customer changed her mind"

    Cancelling what is cancelled already changes nothing; what has ended otherwise is an error.
    """
    return await control(
        executions, lambda client, id_: client.cancel(id_, reason), allowed="cancelled"
    )
