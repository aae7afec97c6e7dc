"""``flunq resume``: let suspended executions go on."""

from __future__ import annotations

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


async def command(
    executions: SomeExecutionsArgument = None,
    where: WhereOption = None,
    source: FromOption = None,
    list_file: ListOption = None,
    rate: RateOption = None,
    dry_run: DryOption = False,
    yes: BulkYesOption = False,
) -> int:
    """Let suspended executions go on.

    $ flunq resume order-123

    $ flunq resume --from paused.jsonl --rate 20
    """
    selection = Selection(
        where=where, source=source, list_file=list_file, rate=rate, dry_run=dry_run, yes=yes
    )
    check_selection(executions, selection)
    if not selection.is_bulk:
        return await control(executions or (), lambda client, id_: client.resume(id_))
    action = Action(
        verb="resume",
        done="resumed",
        act=lambda client, id_: client.resume(id_),
        eligible="status = 'suspended'",
    )
    return await run_bulk(action, selection)
