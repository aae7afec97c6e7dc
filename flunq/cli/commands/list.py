"""``flunq list``: executions, newest first."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.engine import as_rows, connected, workflow_names
from flunq.cli.options import LimitOption, SinceOption, WatchOption
from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.client import Client
    from flunq.core.protocol import Summary

STATUSES = (
    "running",
    "waiting",
    "suspended",
    "completed",
    "faulted",
    "cancelled",
    "quarantined",
)
_PAGE = 500
_WATCH_SECONDS = 1.0
_MICROSECONDS = 1_000_000


def _complete_status() -> list[str]:
    return list(STATUSES)


async def command(
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only these; repeatable, or with commas.",
            autocompletion=_complete_status,
        ),
    ] = None,
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow",
            metavar="NAME[:VERSION]",
            help="Only executions of this workflow.",
            autocompletion=workflow_names,
        ),
    ] = None,
    since: SinceOption = None,
    limit: LimitOption = 20,
    watch: WatchOption = False,
) -> None:
    """List executions, newest first.

    $ flunq list

    $ flunq list --status faulted,cancelled --since -2h -n 0 -o json
    """
    wanted = _statuses(status)
    async with connected() as client:
        if watch:
            await _watch(client, wanted, workflow, since, limit)
            return
        found = await _find(client, wanted, workflow, since, limit)
    _show(found[:limit] if limit else found)
    if limit and len(found) > limit:
        diagnostics.say(f"the newest {limit} are shown; -n 0 for all")
    elif not found and as_rows():
        diagnostics.say("no executions; start one with: flunq run FILE")


def _statuses(given: Sequence[str] | None) -> tuple[str, ...] | None:
    chosen = tuple(word for text_ in given or () for word in text_.split(","))
    for word in chosen:
        if word not in STATUSES:
            raise UsageError(f"{word!r} is no status", hint=f"one of {', '.join(STATUSES)}")
    return chosen or None


async def _find(
    client: Client,
    status: tuple[str, ...] | None,
    workflow: str | None,
    since: datetime | None,
    limit: int,
) -> list[Summary]:
    """Return one more than ``limit``, so that the caller knows whether there are more."""
    oldest = int(since.timestamp() * _MICROSECONDS) if since else 0
    found: list[Summary] = []
    before: tuple[int, str] | None = None
    while True:
        wanted = min(_PAGE, limit + 1 - len(found)) if limit else _PAGE
        page = await client.list(limit=wanted, before=before, status=status, workflow=workflow)
        recent = [each for each in page if each.started_at >= oldest]
        found += recent
        if len(page) < wanted or len(recent) < len(page) or (limit and len(found) > limit):
            return found
        before = (page[-1].started_at, page[-1].id)


def _show(found: Sequence[Summary]) -> None:
    from flunq.cli.rendering.executions import EXECUTION_COLUMNS, summary_json, summary_row

    if as_rows():
        output.emit([summary_row(each) for each in found], columns=EXECUTION_COLUMNS)
    else:
        output.emit([summary_json(each) for each in found])


async def _watch(
    client: Client,
    status: tuple[str, ...] | None,
    workflow: str | None,
    since: datetime | None,
    limit: int,
) -> None:
    """Redraw on a terminal; elsewhere print what changed, a line each."""
    if text.is_terminal(sys.stdout):
        while True:
            found = await _find(client, status, workflow, since, limit)
            output.emit_raw("\x1b[H\x1b[2J")
            _show(found[:limit] if limit else found)
            await asyncio.sleep(_WATCH_SECONDS)
    await _print_changes(client, status, workflow, since, limit)


async def _print_changes(
    client: Client,
    status: tuple[str, ...] | None,
    workflow: str | None,
    since: datetime | None,
    limit: int,
) -> None:
    from flunq.cli.rendering.executions import summary_json

    lines = output.Lines(lambda item: f"{item['id']}  {item['status']}")
    known: dict[str, str] = {}
    while True:
        for each in reversed(await _find(client, status, workflow, since, limit)):
            if known.get(each.id) != each.status:
                known[each.id] = each.status
                lines.write(summary_json(each))
        await asyncio.sleep(_WATCH_SECONDS)
