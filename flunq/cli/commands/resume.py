"""``flunq resume``: let suspended executions go on."""

from __future__ import annotations

from flunq.cli.bulk import Action, Selection, act_on, of_many
from flunq.cli.engine import SomeExecutionsArgument  # noqa: TC001 - Typer reads annotations


@of_many
async def command(
    executions: SomeExecutionsArgument = None,
    *,
    selection: Selection,
) -> int:
    """Let suspended executions go on.

    $ flunq resume order-123

    $ flunq resume --from paused.jsonl --rate 20
    """
    action = Action(
        verb="resume",
        done="resumed",
        act=lambda client, id_: client.resume(id_),
        eligible="status = 'suspended'",
    )
    return await act_on(executions, selection, action)
