"""Steer several executions with one command and say what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.cli import output
from flunq.cli.engine import as_rows, connected
from flunq.cli.exits import ExitCode
from flunq.errors import FlunqError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from flunq.client import Client


async def control(ids: Sequence[str], act: Callable[[Client, str], Awaitable[str]]) -> int:
    """Do something to each execution; every one is tried, the first failure is raised."""
    done: list[dict[str, Any]] = []
    failures: list[FlunqError] = []
    async with connected() as client:
        for execution in dict.fromkeys(ids):
            try:
                done.append({"id": execution, "status": await act(client, execution)})
            except FlunqError as error:
                failures.append(error)
    _show(done, single=len(ids) == 1)
    if failures:
        raise _all_of(failures)
    return ExitCode.DONE


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
