"""``flunq why``: what an execution waits for, or why it ended, and what to do."""

from __future__ import annotations

from flunq.cli import output
from flunq.cli.engine import ExecutionArgument, connected, find_execution


async def command(execution: ExecutionArgument) -> None:
    """Say what an execution waits for, since when and who must act, or why it ended.

    $ flunq why order-123

    $ flunq why order-123 -o json | jq -r .command

    It ends with the command to type. Events that nearly met a listener are shown with the part
    that did not fit.
    """
    from flunq.cli.rendering.why import why_json, why_lines
    from flunq.client.why import explain

    async with connected() as client:
        found = await find_execution(client, execution)
        why = await explain(client, found.id)
    output.emit(why_json(why), lines=why_lines(why))
