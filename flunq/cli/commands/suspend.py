"""``flunq suspend``: pause executions."""

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
from flunq.cli.engine import (  # Typer reads annotations
    ReasonOption,  # noqa: TC001
    SomeExecutionsArgument,  # noqa: TC001
)


async def command(
    executions: SomeExecutionsArgument = None,
    reason: ReasonOption = "",
    where: WhereOption = None,
    source: FromOption = None,
    list_file: ListOption = None,
    rate: RateOption = None,
    dry_run: DryOption = False,
    yes: BulkYesOption = False,
) -> int:
    """Pause executions: running tasks finish and are recorded, nothing new begins.

    $ flunq suspend order-123

    $ flunq suspend --where "workflow = 'orders'" --list paused.jsonl

    Let them go on with: flunq resume ID, or flunq resume --from paused.jsonl
    """
    selection = Selection(
        where=where, source=source, list_file=list_file, rate=rate, dry_run=dry_run, yes=yes
    )
    check_selection(executions, selection)
    if not selection.is_bulk:
        return await control(executions or (), lambda client, id_: client.suspend(id_, reason))
    action = Action(
        verb="suspend",
        done="suspended",
        act=lambda client, id_: client.suspend(id_, reason),
        eligible="ended_at IS NULL AND status <> 'suspended'",
    )
    return await run_bulk(action, selection)
