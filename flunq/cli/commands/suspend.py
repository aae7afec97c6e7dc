"""``flunq suspend``: pause executions."""

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
    """Pause executions: running tasks finish and are recorded, nothing new begins.

    $ flunq suspend order-123

    $ flunq suspend --where "workflow = 'orders'" --list paused.jsonl

    Let them go on with: flunq resume ID, or flunq resume --from paused.jsonl
    """
    action = Action(
        verb="suspend",
        done="suspended",
        act=lambda client, id_: client.suspend(id_, reason),
        eligible="ended_at IS NULL AND status <> 'suspended'",
    )
    return await act_on(executions, selection, action)
