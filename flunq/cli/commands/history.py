"""``flunq history``: every event of an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.cli import diagnostics, output
from flunq.cli.engine import as_rows, connected, find_execution
from flunq.cli.exported import (
    ExportOption,
    MaybeExecutionArgument,
    read_file,
    require_execution,
)
from flunq.cli.options import FollowOption  # noqa: TC001 - Typer reads annotations
from flunq.cli.running import run_async
from flunq.core.ids import is_valid_id
from flunq.errors import NotFoundError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.client import Client
    from flunq.core.events import LazyEvent


def command(
    execution: MaybeExecutionArgument = None,
    follow: FollowOption = False,
    file: ExportOption = None,
) -> None:
    """Show every event of an execution, in order.

    $ flunq history order-123

    $ flunq history order-123 -o jsonl | jq -c '[.seq, .type]'

    $ flunq history order-123 -f

    $ flunq history --file order-123.flunq.gz
    """
    if file is not None:
        if follow:
            raise UsageError("a file does not go on: leave out --follow")
        _print(read_file(file, execution).events)
    elif follow:
        run_async(_follow(require_execution(execution)), on_interrupt=0)
    else:
        run_async(_show(require_execution(execution)))


async def _show(execution: str) -> None:
    async with connected() as client:
        events = await _events(client, execution)
    missing = _missing(events)
    if not events:
        raise _lost(execution)
    _print(events)
    if missing:
        diagnostics.warn(
            f"{missing} events of {execution} before number {events[-1].seq} are neither in the "
            "journal nor in the archive",
            "see why: flunq lake status",
        )


def _lost(execution: str) -> NotFoundError:
    return NotFoundError(
        f"the events of {execution} are neither in the journal nor in the archive",
        hint="see why: flunq lake status",
    )


def _missing(events: Sequence[LazyEvent]) -> int:
    """Return how many events before the last one are not there."""
    return events[-1].seq - len({event.seq for event in events}) if events else 0


def _print(events: Sequence[LazyEvent]) -> None:
    from flunq.cli.rendering.events import COLUMNS, event_json, event_row

    if as_rows():
        output.emit([event_row(event) for event in events], columns=COLUMNS)
    else:
        output.emit([event_json(event) for event in events])


async def _events(client: Client, execution: str) -> list[LazyEvent]:
    """Return an execution's events; of one whose record is gone, those of the archive."""
    try:
        known = await find_execution(client, execution)
    except NotFoundError:
        if not is_valid_id(execution):
            raise
        archived = await _archived(client, execution)
        if not archived:
            raise
        return archived
    return [event async for event in client.history(known.id)]


async def _archived(client: Client, execution: str) -> list[LazyEvent]:
    try:
        return [event async for event in client.archived_history(execution)]
    except UnavailableError:
        return []  # without a historian an execution that nobody knows is just not found


async def _follow(execution: str) -> None:
    """Print what is there and what comes, until the execution has ended."""
    from flunq.cli.rendering.events import event_json, event_line

    async with connected() as client:
        known = await find_execution(client, execution)
        shown: dict[str, LazyEvent] = {}
        lines = output.Lines(lambda item: event_line(shown[item["id"]]))
        async for event in client.follow(known.id):
            shown = {event.id: event}
            lines.write(event_json(event))
        if not shown:
            raise _lost(known.id)
