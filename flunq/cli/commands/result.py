"""``flunq result``: print the output of an execution, waiting for it if need be."""

from __future__ import annotations

from flunq.cli.ending import show_result
from flunq.cli.engine import ExecutionArgument, connected, find_execution
from flunq.cli.options import TimeoutOption  # noqa: TC001 - Typer reads annotations


async def command(execution: ExecutionArgument, within: TimeoutOption = None) -> int:
    """Print the output of an execution, waiting for it if need be.

    $ flunq result order-123 --timeout 30s

    The exit code is 0 when it completed, 1 when it faulted or was cancelled, 5 when the time is up.
    """
    async with connected() as client:
        details = await find_execution(client, execution)
        return await show_result(client, details.id, within, details)
