"""``flunq delete``: forget executions that have ended."""

from __future__ import annotations

from typing import Annotated

import typer

from flunq.cli.bulk import Action, Selection, act_on, of_many
from flunq.cli.engine import SomeExecutionsArgument  # noqa: TC001 - Typer reads annotations
from flunq.cli.options import confirm
from flunq.cli.scrubbing import scrub_executions


@of_many
async def command(
    executions: SomeExecutionsArgument = None,
    *,
    selection: Selection,
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
    if scrub:
        return await scrub_executions(executions or (), selection)
    if not selection.is_bulk:
        ids = executions or []
        confirm(
            f"delete {ids[0] if len(ids) == 1 else f'{len(ids)} executions'}?", yes=selection.yes
        )
    action = Action(
        verb="delete",
        done="deleted",
        act=lambda client, id_: client.delete(id_),
        eligible="ended_at IS NOT NULL",
    )
    return await act_on(executions, selection, action)
