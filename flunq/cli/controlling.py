"""Steer several executions with one command and say what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected
from flunq.cli.exits import ExitCode
from flunq.core.statuses import ENDED
from flunq.errors import ConflictError, FlunqError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from flunq.client import Client


async def control(
    ids: Sequence[str],
    act: Callable[[Client, str], Awaitable[str]],
    *,
    allowed: Collection[str] = (),
) -> int:
    """Do something to each execution; every one is tried, the first failure is raised.

    An execution that has ended cannot be steered, but to end as ``allowed`` is what was wanted.
    """
    done: list[dict[str, Any]] = []
    failures: list[FlunqError] = []
    async with connected() as client:
        for execution in dict.fromkeys(ids):
            try:
                status = await act(client, execution)
                _require_open(execution, status, allowed)
                done.append({"id": execution, "status": status})
            except FlunqError as error:
                failures.append(error)
    _show(done, single=len(ids) == 1)
    if failures:
        raise _all_of(failures)
    return ExitCode.DONE


def say_how_it_goes_on(execution: str, status: str) -> None:
    """Tell what can be done with an execution that was taken up again, however far it is."""
    match status:
        case "suspended":
            diagnostics.say(f"let it go on with: flunq resume {execution}")
        case "faulted":
            diagnostics.say(f"it has failed again; see: flunq why {execution}")
        case "completed":
            diagnostics.say(f"it has ended; see: flunq result {execution}")
        case _:
            diagnostics.say(f"it goes on; follow it with: flunq tail {execution}")


def ended_already(execution: str, status: str) -> ConflictError:
    """Return the error for an execution that had ended before it was steered."""
    return ConflictError(f"execution {execution} is {status} already; nothing was changed")


def _require_open(execution: str, status: str, allowed: Collection[str]) -> None:
    if status in ENDED and status not in allowed:
        raise ended_already(execution, status)


def _show(done: list[dict[str, Any]], *, single: bool) -> None:
    if not done:
        return
    if as_rows():
        output.emit(done, plain="\n".join(f"{row['id']} {row['status']}" for row in done))
    else:
        output.emit(done[0] if single else done)


def _all_of(failures: Sequence[FlunqError]) -> FlunqError:
    """Return the first failure, with the messages of the others below it."""
    first, *others = failures
    if others:
        first.message = "\n".join([first.message, *(each.message for each in others)])
    return first
