"""``flunq cancel``: end executions."""

from __future__ import annotations

from flunq.cli.bulk import Action, Selection, act_on, of_many
from flunq.cli.engine import (  # Typer reads annotations
    ReasonOption,  # noqa: TC001
    SomeExecutionsArgument,  # noqa: TC001
)


@of_many
async def command(
    executions: SomeExecutionsArgument = None,
    *,
    selection: Selection,
    reason: ReasonOption = "",
) -> int:
    """Cancel executions: running tasks are told to stop, late results change nothing.

    $ flunq cancel order-123 --reason "customer changed her mind"

    $ flunq cancel --where "workflow = 'orders' and started_at < now() - interval 1 day" --dry-run

    Cancelling what is cancelled already changes nothing; what has ended otherwise is an error.
    Those that --where finds are shown and asked about first.
    """
    action = Action(
        verb="cancel",
        done="cancelled",
        act=lambda client, id_: client.cancel(id_, reason),
        wanted=frozenset({"cancelled"}),
    )
    return await act_on(executions, selection, action, allowed=action.wanted)
