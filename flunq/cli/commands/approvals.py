"""``flunq approvals``: what waits for a person."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import (
    ExecutionArgument,
    as_rows,
    connected,
    find_execution,
    for_people,
    workflow_names,
)
from flunq.cli.options import parse_duration, read_json
from flunq.cli.session import settings
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.client.approvals import Approval

app = typer.Typer(
    help="See what waits for a person, and answer.\n\n"
    "$ flunq approvals list\n\n$ flunq approvals approve order-123\n\n"
    "$ flunq approvals link order-123"
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
TtlOption = Annotated[str, typer.Option("--ttl", metavar="7d", help="How long an address counts.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Where people reach the API [as the context says].",
        show_default=False,
    ),
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
    links: Annotated[
        bool, typer.Option("--links", help="With a one-time address for each.")
    ] = False,
    ttl: TtlOption = "7d",
    url: UrlOption = None,
) -> None:
    """List what waits for a person, newest executions first.

    $ flunq approvals list

    $ flunq approvals list --links -o json
    """
    # A link that nobody learns of would still count.
    lifetime, base = _lifetime(ttl), _address(url) if links else ""
    async with connected() as client:
        found = await client.approvals.list(workflow)
        rows = [_json(each) for each in found]
        for each, row in zip(found, rows, strict=True):
            if links:
                made = await client.approvals.link_to(each, lifetime=lifetime)
                row["link"] = base + made.path
    if as_rows():
        _show(rows, links=links)
    else:
        output.emit(rows)


@app.command("link")
async def link(
    execution: ExecutionArgument,
    task: TaskOption = None,
    ttl: TtlOption = "7d",
    url: UrlOption = None,
) -> None:
    """Make an address by which somebody without a token answers, once.

    $ flunq approvals link order-123

    $ flunq approvals link order-123 --ttl 12h --url https://flunq.example.com

    Whoever has the address may answer, in a browser or with curl: send it to nobody else. It counts
    for one answer to what the task waits for now.
    """
    from flunq.cli.rendering.access import moment

    lifetime, base = _lifetime(ttl), _address(url)
    async with connected() as client:
        found = await find_execution(client, execution)
        made = await client.approvals.link(found.id, task=task, lifetime=lifetime)
    address = base + made.path
    members = {
        "id": made.id,
        "execution": made.execution,
        "task": made.task,
        "url": address,
        "expires": moment(made.expires),
    }
    output.emit(members, plain=address)
    if for_people():
        diagnostics.say(f"counts until {members['expires']}, for one answer; its id is {made.id}")


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


def _address(url: str | None) -> str:
    """Return where the API is, as whoever gets a link reaches it."""
    known = url or settings().settings.api_url
    if not known:
        raise UsageError(
            "the address of the API is not known here", hint="--url https://flunq.example.com"
        )
    return known.rstrip("/")


def _lifetime(ttl: str) -> int:
    seconds = int(parse_duration(ttl))
    if seconds < 1:
        raise UsageError("the link would count no more already", hint="--ttl 7d")
    return seconds


def _show(rows: list[dict[str, Any]], *, links: bool) -> None:
    from flunq.cli.tables import Column

    columns = [
        Column("execution", whole=True),
        Column("title"),
        Column("who"),
        Column("task"),
        Column("since", kind="time"),
    ]
    if links:
        columns.append(Column("link", whole=True))
    output.emit(rows, columns=columns)
    if not rows:
        diagnostics.say("nothing waits for a person")


def _json(approval: Approval) -> dict[str, Any]:
    from msgspec import to_builtins

    from flunq.core.events import timestamp

    members: dict[str, Any] = to_builtins(approval)
    return {**members, "since": timestamp(approval.since) if approval.since else None}
