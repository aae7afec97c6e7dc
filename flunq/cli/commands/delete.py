"""``flunq delete``: forget executions that have ended."""

from __future__ import annotations

from flunq.cli.controlling import control
from flunq.cli.engine import ExecutionsArgument  # noqa: TC001 - Typer reads annotations
from flunq.cli.options import YesOption, confirm


async def command(executions: ExecutionsArgument, yes: YesOption = False) -> int:
    """Delete the records of executions that have ended; cancel a running one first.

    $ flunq delete order-123 --yes
    """
    what = executions[0] if len(executions) == 1 else f"{len(executions)} executions"
    confirm(f"delete {what}?", yes=yes)
    return await control(executions, lambda client, id_: client.delete(id_))
