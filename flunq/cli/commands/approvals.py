"""``flunq approvals``: what waits for a person."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import ExecutionArgument, as_rows, connected, find_execution, workflow_names
from flunq.cli.options import read_json
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.client.approvals import Approval

app = typer.Typer(
    help="See what waits for a person, and answer.\n\n"
    "$ flunq approvals list\n\n$ flunq approvals approve order-123"
)
TaskOption = Annotated[
    str | None,
    typer.Option("--task", metavar="NAME", help="Which one, where several tasks wait."),
]
DataOption = Annotated[
    str | None,
    typer.Option("-i", "--data", metavar="JSON|@FILE|-", help="What the form asks for."),
]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who decides [you].", show_default=False)
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; part of the answer.")
]


@app.command("list")
async def list_(
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow",
            metavar="NAME",
            help="Only of this workflow.",
            autocompletion=workflow_names,
        ),
    ] = None,
) -> None:
    """List what waits for a person, newest executions first.

    $ flunq approvals list
    """
    async with connected() as client:
        found = await client.approvals.list(workflow)
    if as_rows():
        _show(found)
    else:
        output.emit([_json(each) for each in found])


@app.command("approve")
async def approve(
    execution: ExecutionArgument,
    task: TaskOption = None,
    data: DataOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """Say yes: publish the event that the execution waits for.

    $ flunq approvals approve order-123

    $ flunq approvals approve order-123 --data '{"limit": 500}' --reason "as agreed"
    """
    await _answer(execution, task, data, by or getpass.getuser(), reason, approved=True)


@app.command("reject")
async def reject(
    execution: ExecutionArgument,
    task: TaskOption = None,
    data: DataOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """Say no.

    $ flunq approvals reject order-123 --reason "too expensive"
    """
    await _answer(execution, task, data, by or getpass.getuser(), reason, approved=False)


async def _answer(
    execution: str, task: str | None, data: str | None, by: str, reason: str, *, approved: bool
) -> None:
    given = read_json(data, name="data")
    if given is not None and not isinstance(given, dict):
        raise UsageError("the data are no JSON object", hint="--data '{\"limit\": 500}'")
    async with connected() as client:
        found = await find_execution(client, execution)
        sent = await client.approvals.answer(
            found.id, approved=approved, task=task, data=given, by=by, reason=reason
        )
    members = {"execution": sent.execution, "task": sent.task, "approved": sent.approved}
    word = "approved" if approved else "rejected"
    output.emit({**members, "event": sent.event}, plain=f"{sent.execution} {sent.task} {word}")


def _show(found: list[Approval]) -> None:
    from flunq.cli.tables import Column

    columns = (
        Column("execution", whole=True),
        Column("title"),
        Column("who"),
        Column("task"),
        Column("since", kind="time"),
    )
    output.emit([_json(each) for each in found], columns=columns)
    if not found:
        diagnostics.say("nothing waits for a person")


def _json(approval: Approval) -> dict[str, Any]:
    from msgspec import to_builtins

    from flunq.core.events import timestamp

    members: dict[str, Any] = to_builtins(approval)
    return {**members, "since": timestamp(approval.since) if approval.since else None}
