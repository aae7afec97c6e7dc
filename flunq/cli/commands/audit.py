"""``flunq audit``: who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected
from flunq.cli.options import parse_time
from flunq.cli.running import run_async
from flunq.cli.tables import Column

if TYPE_CHECKING:
    from datetime import datetime

COLUMNS = [
    Column("time", kind="time"),
    Column("who"),
    Column("what"),
    Column("target"),
    Column("result"),
    Column("from"),
    Column("via"),
]


def command(
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="1h|TIME", help="Only what was done after this."),
    ] = None,
    who: Annotated[
        str,
        typer.Option("--who", metavar="NAME", help="Only this token, by name or id, or user."),
    ] = "",
    what: Annotated[
        str, typer.Option("--what", metavar="WORD", help="Only this operation; token* for several.")
    ] = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
) -> None:
    """Show what was done, by whom, from where and with which result; oldest first.

    $ flunq audit --since 1h

    $ flunq audit --who ci --what start -o jsonl

    $ flunq audit -f

    Every change is there: of the API with the token that was used, of commands with the user of
    NATS and, unverified, the user and machine that typed them.
    """
    begin = _moment(since)
    if follow:
        run_async(_follow(begin, who, what), on_interrupt=0)
    else:
        run_async(_show(begin, who, what))


async def _show(since: float | None, who: str, what: str) -> None:
    from flunq.cli.rendering.access import entry_json

    async with connected() as client:
        entries = client.audit.entries(since=since, who=who, what=what)
        found = [entry_json(entry) async for entry in entries]
    output.emit(found, columns=COLUMNS)
    if not found and as_rows():
        diagnostics.say("nothing was done")


async def _follow(since: float | None, who: str, what: str) -> None:
    from flunq.cli.rendering.access import entry_json, entry_line

    lines = output.Lines(entry_line)
    async with connected() as client:
        async for entry in client.audit.entries(since=since, who=who, what=what, follow=True):
            lines.write(entry_json(entry))


def _moment(since: str | None) -> float | None:
    """Read ``1h`` as an hour ago: nothing that was done lies ahead."""
    if since is None:
        return None
    is_length = since[:1].isdigit() and since[-1:] in "smhd"
    moment: datetime = parse_time(f"-{since}" if is_length else since)
    return moment.timestamp()
