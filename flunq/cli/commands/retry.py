"""``flunq retry``: let failed executions go on from where they failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flunq.cli import output
from flunq.cli.bulk import Action, Selection, act_on, of_many
from flunq.cli.controlling import say_how_it_goes_on
from flunq.cli.ending import show_result
from flunq.cli.engine import (  # Typer reads annotations
    ReasonOption,
    SomeExecutionsArgument,
    connected,
    find_execution,
    read_edited_input,
)
from flunq.cli.exits import ExitCode
from flunq.cli.options import TimeoutOption  # noqa: TC001 - Typer reads annotations
from flunq.errors import UsageError

if TYPE_CHECKING:
    from flunq.client import Client


RetryInputOption = Annotated[
    str | None,
    typer.Option(
        "-i",
        "--input",
        metavar="JSON|@FILE|-",
        help="Another input for the task that failed.",
        rich_help_panel="Input",
    ),
]


@of_many
async def command(
    executions: SomeExecutionsArgument = None,
    *,
    selection: Selection,
    input: RetryInputOption = None,
    reason: ReasonOption = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait and print the output.")] = False,
    within: TimeoutOption = None,
) -> int:
    """Let executions that faulted or were cancelled go on from the task that failed.

    $ flunq retry order-123 --wait

    $ flunq retry order-123 -i '{"card": "5555"}'

    $ flunq retry --where "status = 'faulted' and error_status = 503" --rate 20

    What was done stays done; the task that failed runs again, with the same idempotency key, and
    with -i it gets another input. Time limits begin anew.
    """
    ids = executions or []
    _check_alone(ids, selection, wait=wait, within=within)
    edited = read_edited_input(input)

    async def act(client: Client, id_: str) -> str:
        return (await client.retry(id_, input=edited, reason=reason)).status

    if len(ids) == 1:
        return await _one(ids[0], edited, reason, wait=wait, within=within)
    action = Action(
        verb="retry",
        done="retried",
        act=act,
        eligible="status IN ('faulted', 'cancelled', 'quarantined') AND deleted_at IS NULL",
        wanted=frozenset({"completed", "faulted"}),
    )
    return await act_on(ids, selection, action, allowed=("completed",))


def _check_alone(ids: list[str], selection: Selection, *, wait: bool, within: float | None) -> None:
    if within is not None and not wait:
        raise UsageError("--timeout needs --wait")
    if wait and (selection.is_bulk or len(ids) > 1):
        raise UsageError("--wait goes with one execution")


async def _one(
    beginning: str, edited: Any, reason: str, *, wait: bool, within: float | None
) -> int:
    async with connected() as client:
        known = await find_execution(client, beginning)
        details = await client.retry(known.id, input=edited, reason=reason)
        if wait:
            return await show_result(client, known.id, within, details)
    output.emit(
        {"id": details.id, "status": details.status}, plain=f"{details.id} {details.status}"
    )
    say_how_it_goes_on(details.id, details.status)
    return ExitCode.DONE
