"""``flunq history``: every event of an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.cli import output
from flunq.cli.engine import ExecutionArgument, as_rows, connected, find_execution
from flunq.cli.options import FollowOption  # noqa: TC001 - Typer reads annotations
from flunq.cli.running import run_async

if TYPE_CHECKING:
    from flunq.core.events import LazyEvent


def command(execution: ExecutionArgument, follow: FollowOption = False) -> None:
    """Show every event of an execution, in order.

    $ flunq history order-123

    $ flunq history order-123 -o jsonl | jq -c '[.seq, .type]'

    $ flunq history order-123 -f
    """
    if follow:
        run_async(_follow(execution), on_interrupt=0)
    else:
        run_async(_show(execution))


async def _show(execution: str) -> None:
    from flunq.cli.rendering.events import COLUMNS, event_json, event_row

    async with connected() as client:
        known = await find_execution(client, execution)
        events = [event async for event in client.history(known.id)]
    if as_rows():
        output.emit([event_row(event) for event in events], columns=COLUMNS)
    else:
        output.emit([event_json(event) for event in events])


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
