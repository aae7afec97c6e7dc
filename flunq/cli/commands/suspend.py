"""``flunq suspend``: pause executions."""

from __future__ import annotations

from flunq.cli.controlling import control
from flunq.cli.engine import ExecutionsArgument, ReasonOption  # noqa: TC001 - Typer reads annotations


async def command(executions: ExecutionsArgument, reason: ReasonOption = "") -> int:
    """Pause executions: running tasks finish and are recorded, nothing new begins.

    $ flunq suspend order-123

    Let them go on with: flunq resume ID
    """
    return await control(executions, lambda client, id_: client.suspend(id_, reason))
