"""``flunq cancel``: end executions."""

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
    """Cancel executions: running tasks are told to stop, late results change nothing.

    $ flunq cancel order-123 --reason "customer changed her mind"

    $ flunq cancel --where "workflow = 'orders' and started_at < now() - interval 1 day" --dry-run

    Cancelling what is cancelled already changes nothing; what has ended otherwise is an error.
    Those that --where finds are shown and asked about first.
    """
    selection = Selection(
        where=where, source=source, list_file=list_file, rate=rate, dry_run=dry_run, yes=yes
    )
    check_selection(executions, selection)
    if not selection.is_bulk:
        return await control(
            executions or (), lambda client, id_: client.cancel(id_, reason), allowed="cancelled"
        )
    action = Action(
        verb="cancel",
        done="cancelled",
        act=lambda client, id_: client.cancel(id_, reason),
        wanted=frozenset({"cancelled"}),
    )
    return await run_bulk(action, selection)
