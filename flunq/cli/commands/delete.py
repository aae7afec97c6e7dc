"""``flunq delete``: forget executions that have ended."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli.bulk import (  # Typer reads annotations
    Action,
    BulkYesOption,
    DryOption,
    FromOption,
    ListOption,
    RateOption,
    Selection,
    WhereOption,
    check_selection,
    run_bulk,
)
from flunq.cli.controlling import control
from flunq.cli.engine import SomeExecutionsArgument  # noqa: TC001 - Typer reads annotations
from flunq.cli.options import confirm
from flunq.cli.scrubbing import scrub_executions


async def command(
    executions: SomeExecutionsArgument = None,
    where: WhereOption = None,
    source: FromOption = None,
    list_file: ListOption = None,
    rate: RateOption = None,
    dry_run: DryOption = False,
    yes: BulkYesOption = False,
    scrub: Annotated[
        bool,
        typer.Option("--scrub", help="Remove their events too, from every file; not to be undone."),
    ] = False,
) -> int:
    """Delete the records of executions that have ended; cancel a running one first.

    $ flunq delete order-123 --yes

    $ flunq delete --where "status = 'faulted' and workflow = 'orders'" --rate 100

    $ flunq delete --scrub order-123

    Their events stay in the archive, where flunq sql finds them. With --scrub nothing stays but a
    note that there was such an execution: the archive and the stored states are rewritten, the
    journal is trimmed, and the command ends when all that is on disk.
    """
    selection = Selection(
        where=where, source=source, list_file=list_file, rate=rate, dry_run=dry_run, yes=yes
    )
    check_selection(executions, selection)
    if scrub:
        return await scrub_executions(executions or (), selection)
    if not selection.is_bulk:
        ids = executions or []
        confirm(f"delete {ids[0] if len(ids) == 1 else f'{len(ids)} executions'}?", yes=yes)
        return await control(ids, lambda client, id_: client.delete(id_))
    action = Action(
        verb="delete",
        done="deleted",
        act=lambda client, id_: client.delete(id_),
        eligible="ended_at IS NOT NULL",
    )
    return await run_bulk(action, selection)
