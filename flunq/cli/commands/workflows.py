"""``flunq workflows``: the registered definitions."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.engine import WorkflowArgument, as_rows, connected
from flunq.cli.options import YesOption, confirm
from flunq.cli.session import OutputFormat, current

app = typer.Typer(
    help="List, show and delete registered workflows.\n\n"
    "$ flunq workflows list\n\n$ flunq workflows get order > order.yaml"
)


@app.command("list")
async def list_(
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="TEXT", help="Only names that begin so.")
    ] = "",
) -> None:
    """List every registered version.

    $ flunq workflows list --prefix shop/
    """
    from flunq.cli.rendering.executions import WORKFLOW_COLUMNS, definition_json, definition_row

    async with connected() as client:
        found = await client.workflows(prefix)
    if as_rows():
        output.emit([definition_row(each) for each in found], columns=WORKFLOW_COLUMNS)
        if not found:
            diagnostics.say("nothing is registered; register a document with: flunq apply FILE")
    else:
        output.emit([definition_json(each) for each in found])


@app.command("get")
async def get(name: WorkflowArgument) -> None:
    """Print a registered document as it was written.

    $ flunq workflows get order:1.0.0

    -o json prints the document as JSON with its digest, and with the SHA-256 of what was registered
    along with it.
    """
    from flunq.cli.rendering.executions import definition_json

    async with connected() as client:
        found = await client.workflow(name)
    if current().output in (OutputFormat.TABLE, OutputFormat.YAML):
        output.emit_text(text.neutralise_lines(found.text))
    else:
        shown = {**definition_json(found.definition), "document": found.document}
        output.emit({**shown, "resources": found.resources} if found.resources else shown)


@app.command("delete")
async def delete(name: WorkflowArgument, yes: YesOption = False) -> None:
    """Unregister a version, or all of them.

    $ flunq workflows delete order:1.0.0 --yes

    Without :VERSION every version goes. Running executions keep theirs.
    """
    confirm(f"unregister {name}?", yes=yes)
    async with connected() as client:
        gone = await client.delete_workflow(name)
    output.emit(gone, plain="\n".join(f"{each} deleted" for each in gone))
