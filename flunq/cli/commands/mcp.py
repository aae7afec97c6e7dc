"""``flunq mcp``: a server of the Model Context Protocol on stdin and stdout."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated

import typer

from flunq.cli.engine import connected, workflow_names
from flunq.cli.options import parse_duration

ToolsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        metavar="NAME,...|all",
        help="Workflows that are tools: calling one starts it. Repeatable.",
        autocompletion=workflow_names,
    ),
]
WritesOption = Annotated[
    bool,
    typer.Option("--allow-writes", help="Tools to start, steer, apply and emit whatever there is."),
]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait",
        parser=parse_duration,
        metavar="60s",
        help="How long a call waits for the end [60s].",
        show_default=False,
    ),
]


async def command(
    tools: ToolsOption = None, allow_writes: WritesOption = False, wait: WaitOption = 60.0
) -> None:
    """Let an agent look into the cluster, and use workflows as tools.

    $ flunq mcp

    $ flunq mcp --tools order,refund --wait 30s

    $ claude mcp add flunq -- flunq mcp --tools all

    An agent starts it and speaks the Model Context Protocol on its stdin and stdout. Without
    options it can only look.
    """
    from flunq.mcp.settings import McpSettings
    from flunq.mcp.stdio import serve_stdio

    names = tuple(name for given in tools or () for name in given.split(",") if name)
    settings = McpSettings(
        workflows=names,
        allow_writes=allow_writes,
        wait=wait,
        key=os.environ.get("FLUNQ_KEY", ""),
        version=version("flunq"),
    )
    async with connected() as client:
        await serve_stdio(client, settings)
