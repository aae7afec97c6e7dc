"""``flunq workflows``: the registered definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.engine import ReasonOption, WorkflowArgument, as_rows, connected
from flunq.cli.options import YesOption, confirm
from flunq.cli.session import OutputFormat, current
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.core.flow import PauseView

app = typer.Typer(
    help="List, show, pause and delete registered workflows.\n\n"
    "$ flunq workflows list\n\n$ flunq workflows pause order --reason 'the bank is down'"
)


@app.command("list")
async def list_(
    prefix: Annotated[
        str, typer.Option("--prefix", metavar="TEXT", help="Only names that begin so.")
    ] = "",
) -> None:
    """List every registered version, and whether it is paused.

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


VersionOption = Annotated[
    str, typer.Option("--version", metavar="V", help="This version alone, as NAME:V.")
]


@app.command("pause")
async def pause(
    name: WorkflowArgument,
    version: VersionOption = "",
    reason: ReasonOption = "",
    starts_only: Annotated[
        bool, typer.Option("--starts-only", help="Executions that have begun go on.")
    ] = False,
) -> None:
    """Let a workflow begin nothing until it is resumed.

    $ flunq workflows pause order --reason "the bank is down"

    $ flunq workflows pause shop/order --version 1.2.0 --starts-only

    Starts are accepted and wait in their order. Open executions are suspended at their next step:
    tasks that executors have been given are done and recorded. Once this ends nothing of it takes
    another step; partitions that did not answer are named, and follow within seconds.
    """
    async with connected() as client:
        found = await client.flow.pause_workflow(
            _versioned(name, version), reason=reason, starts_only=starts_only
        )
    _say(found, "is paused; let it go on with: flunq workflows resume " + found.workflow)


@app.command("resume")
async def resume(name: WorkflowArgument, version: VersionOption = "") -> None:
    """Let a paused workflow go on: what waited begins in its order, what was suspended goes on.

    $ flunq workflows resume order

    Executions that somebody suspended by themselves stay suspended.
    """
    async with connected() as client:
        found = await client.flow.resume_workflow(_versioned(name, version))
    _say(found, "goes on")


def _versioned(name: str, version: str) -> str:
    if version and ":" in name:
        raise UsageError("say the version once: as NAME:VERSION or with --version")
    return f"{name}:{version}" if version else name


def _say(found: PauseView, what: str) -> None:
    from flunq.cli.rendering.flow import pause_json

    if found.unheard:
        numbers = ", ".join(map(str, found.unheard))
        diagnostics.warn(f"no answer yet from the owners of partitions {numbers}")
    output.emit(pause_json(found), plain=f"workflow {found.workflow} {what}")
