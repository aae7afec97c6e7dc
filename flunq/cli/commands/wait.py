"""``flunq wait``: wait until an execution has ended, or has reached a status."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output
from flunq.cli.ending import SILENCE_SECONDS
from flunq.cli.engine import ExecutionArgument, connected, find_execution
from flunq.cli.exits import ExitCode
from flunq.cli.options import TimeoutOption  # noqa: TC001 - Typer reads annotations
from flunq.cli.watching import watched
from flunq.core.statuses import ENDED, STATUSES, checked_statuses
from flunq.errors import ExecutionFailedError, WaitTimeoutError

if TYPE_CHECKING:
    from flunq.client import Client


_PAUSE = 0.1

ForOption = Annotated[
    str | None,
    typer.Option("--for", metavar="status=STATUS", help="Wait for this status [any end]."),
]


async def command(
    execution: ExecutionArgument, within: TimeoutOption = None, wanted: ForOption = None
) -> int:
    """Wait until an execution has ended, however it ends.

    $ flunq wait order-123 --timeout 5m

    $ flunq wait order-123 --for status=waiting

    The exit code is 0 when it is there, 5 when the time is up, and 1 when it has ended otherwise
    than --for wants.
    """
    statuses = _statuses(wanted)
    async with connected() as client:
        known = await find_execution(client, execution)
        try:
            async with watched(client, known.id):
                status = await _reach(client, known.id, statuses, within)
        except asyncio.CancelledError:
            diagnostics.say(f"execution {known.id} goes on")
            raise
    output.emit({"id": known.id, "status": status}, plain=status)
    if status not in statuses:
        raise ExecutionFailedError(f"execution {known.id} is {status}, not {' or '.join(statuses)}")
    return ExitCode.DONE


def _statuses(wanted: str | None) -> tuple[str, ...]:
    chosen = wanted.removeprefix("status=").split(",") if wanted is not None else ()
    return checked_statuses(chosen) or tuple(each for each in STATUSES if each in ENDED)


async def _reach(
    client: Client, execution: str, statuses: tuple[str, ...], within: float | None
) -> str:
    if set(statuses) <= ENDED:
        ended = await client.result(execution, timeout=within, patience=SILENCE_SECONDS)
        return ended.status
    try:
        async with asyncio.timeout(within):
            while True:
                status = (await client.get(execution)).status
                if status in statuses or status in ENDED:
                    return status
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise WaitTimeoutError(
            f"execution {execution} is not {' or '.join(statuses)} after {within:g} s",
            hint=f"see what it waits for: flunq why {execution}",
            id=execution,
        ) from None
