"""``flunq nodes``: the engine nodes that are alive."""

from __future__ import annotations

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected


async def command() -> None:
    """List the engine nodes: what they run, what they own, their memory, when they were seen.

    $ flunq nodes

    $ flunq nodes -o json

    A node that holds its lease but does not answer has no load and no time in the list.
    """
    from flunq.cli.rendering.tenants import NODE_COLUMNS, node_json, node_row

    async with connected() as client:
        found = await client.tenants.nodes()
    if as_rows():
        output.emit([node_row(each) for each in found], columns=NODE_COLUMNS)
        if not found:
            diagnostics.say("no engine node is alive; start one with: flunq up")
    else:
        output.emit([node_json(each) for each in found])
