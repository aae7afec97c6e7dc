"""``flunq migrate``: open executions go on with another version of their definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import diagnostics, output
from flunq.cli.engine import WorkflowArgument, as_rows, connected
from flunq.cli.exits import ExitCode
from flunq.cli.options import DryRunOption, YesOption, confirm
from flunq.cli.tables import Column
from flunq.errors import FlunqError, NotFoundError, UsageError

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.protocol import Summary

_OPEN = ("running", "waiting", "suspended")
_PAGE = 200
_COLUMNS = (
    Column("id", whole=True),
    Column("version"),
    Column("status", kind="status"),
    Column("result"),
    Column("why"),
)

ToOption = Annotated[
    str, typer.Option("--to", metavar="VERSION", help="The version to go on with.")
]


async def command(
    name: WorkflowArgument, to: ToOption, dry_run: DryRunOption = False, yes: YesOption = False
) -> int:
    """Let the open executions of a workflow go on with another version.

    $ flunq migrate shop/order --to 2.0.0 --dry-run

    $ flunq migrate order:1.0.0 --to 1.1.0

    Executions keep the version that they were started with until somebody says otherwise. Those
    whose open tasks the other version does not have stay as they are; they are listed with the
    reason, and the exit code is 1.
    """
    if to == "latest":
        raise UsageError("name the version", hint=f"flunq workflows list {name}")
    async with connected() as client:
        target = (await client.workflow(f"{name.partition(':')[0]}:{to}")).definition
        full = f"{target.namespace}/{target.name}:{to}"
        found = [each for each in await _open(client, name) if each.version != to]
        rows = [await _move(client, each, full, dry_run=True) for each in found]
        fitting = [row for row in rows if row["result"] == "fits"]
        if fitting and not dry_run:
            confirm(f"migrate {len(fitting)} executions to {full}?", yes=yes)
            by_id = {each.id: each for each in found}
            moved = {
                row["id"]: await _move(client, by_id[row["id"]], full, dry_run=False)
                for row in fitting
            }
            rows = [moved.get(row["id"], row) for row in rows]
    return _show(rows, full, dry_run=dry_run)


async def _open(client: Client, name: str) -> list[Summary]:
    found: list[Summary] = []
    before: tuple[int, str] | None = None
    while True:
        page = await client.list(limit=_PAGE, before=before, status=_OPEN, workflow=name)
        found += page
        if len(page) < _PAGE:
            return found
        before = (page[-1].started_at, page[-1].id)


async def _move(client: Client, found: Summary, full: str, *, dry_run: bool) -> dict[str, Any]:
    row = {"id": found.id, "version": found.version, "status": found.status}
    try:
        await client.migrate(found.id, full, dry_run=dry_run)
    except NotFoundError:
        return {**row, "result": "gone", "why": ""}
    except FlunqError as error:
        return {**row, "result": "diverges", "why": error.message}
    return {**row, "result": "fits" if dry_run else "migrated", "why": ""}


def _show(rows: list[dict[str, Any]], full: str, *, dry_run: bool) -> int:
    if as_rows():
        output.emit(rows, columns=_COLUMNS)
    else:
        output.emit(rows)
    counts = {word: sum(row["result"] == word for row in rows) for word in _WORDS}
    done = counts["fits"] if dry_run else counts["migrated"]
    words = "could go on with" if dry_run else "go on with"
    diagnostics.say(f"{done} of {len(rows)} open executions {words} {full}")
    return ExitCode.FAILED if counts["diverges"] else ExitCode.DONE


_WORDS = ("fits", "migrated", "diverges", "gone")
