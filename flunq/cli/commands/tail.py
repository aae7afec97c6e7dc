"""``flunq tail``: follow events as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import output
from flunq.cli.engine import connected, execution_ids, find_execution, workflow_names
from flunq.cli.running import run_async
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.cli.rendering.filters import EventFilter
    from flunq.client import Client
    from flunq.core.events import LazyEvent


def command(
    execution: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="One execution, from its beginning; without it all, from now on.",
            autocompletion=execution_ids,
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow/--no-follow", "-f", help="Go on with what comes [yes].", show_default=False
        ),
    ] = True,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="WORD", help="Only events that say so: faulted, ..."),
    ] = None,
    type: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="TEXT", help="Only these: task, task.faulted, ...; repeatable."
        ),
    ] = None,
    workflow: Annotated[
        list[str] | None,
        typer.Option(
            "--workflow",
            metavar="NAME",
            help="Only executions of this workflow; repeatable.",
            autocompletion=workflow_names,
        ),
    ] = None,
) -> None:
    """Follow events as they happen, until Ctrl-C; one execution until it has ended.

    $ flunq tail

    $ flunq tail order-123

    $ flunq tail --status faulted -o jsonl | jq -c '{id: .subject, error: .data.error}'
    """
    from flunq.cli.rendering.filters import EventFilter, check_statuses

    if execution is None and not follow:
        raise UsageError("--no-follow needs an execution", hint="flunq history ID")
    check_statuses(status or ())
    chosen = EventFilter(statuses=status or (), types=type or (), workflows=workflow or ())
    run_async(_tail(execution, chosen, follow=follow), on_interrupt=0)


async def _tail(execution: str | None, chosen: EventFilter, *, follow: bool) -> None:
    from flunq.cli.rendering.events import event_json, event_line

    shown: dict[str, LazyEvent] = {}
    lines = output.Lines(lambda item: event_line(shown[item["id"]]))
    async with connected() as client:
        events = _one(client, execution, follow=follow) if execution else client.events()
        async for event in events:
            if chosen.wants(event):
                shown = {event.id: event}
                lines.write(event_json(event))


async def _one(client: Client, execution: str, *, follow: bool) -> AsyncIterator[LazyEvent]:
    known = (await find_execution(client, execution)).id
    async for event in client.follow(known) if follow else client.history(known):
        yield event
