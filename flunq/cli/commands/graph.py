"""``flunq graph``: draw a workflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flunq.cli import output
from flunq.cli.engine import connected, workflow_names
from flunq.cli.options import read_bytes
from flunq.errors import RejectedError

_FILES = (".yaml", ".yml", ".json")


async def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME[:VERSION]",
            help="A document, or a registered workflow.",
            autocompletion=workflow_names,
        ),
    ],
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Print a flow chart for Mermaid.")
    ] = False,
) -> None:
    """Draw a workflow: its tasks, what is in them and where they go.

    $ flunq graph order.yaml

    $ flunq graph orders:1.2.0 --mermaid > orders.mmd

    Branches of a fork that need others say after which ones they begin.
    """
    from flunq.cli.rendering.graph import graph_json, graph_lines, graph_mermaid

    document = _read(what) if _is_file(what) else await _registered(what)
    if mermaid:
        output.emit_text("\n".join(graph_mermaid(document)))
        return
    output.emit(graph_json(document), lines=graph_lines(document))


def _is_file(what: str) -> bool:
    return what == "-" or what.endswith(_FILES)


def _read(what: str) -> dict[str, Any]:
    from flunq.core.reading import InvalidDocument, read_document

    name = "<stdin>" if what == "-" else what
    try:
        return read_document(read_bytes(Path(what)), name=name).value
    except InvalidDocument as invalid:
        lines = [problem.text(name) for problem in invalid.problems]
        raise RejectedError("\n".join([f"{name} is rejected", *lines])) from None


async def _registered(name: str) -> dict[str, Any]:
    async with connected() as client:
        return (await client.workflow(name)).document
