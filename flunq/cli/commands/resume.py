"""``flunq resume``: let suspended executions go on."""

from __future__ import annotations

from flunq.cli.controlling import control
from flunq.cli.engine import ExecutionsArgument  # noqa: TC001 - Typer reads annotations


async def command(executions: ExecutionsArgument) -> int:
    """Let suspended executions go on.

    $ flunq resume order-123
    """
    return await control(executions, lambda client, id_: client.resume(id_))
