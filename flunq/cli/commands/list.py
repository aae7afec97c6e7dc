"""``flunq list``: executions, newest first."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - Typer reads annotations
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from flunq.cli import diagnostics, output, text
from flunq.cli.engine import as_rows, connected, workflow_names
from flunq.cli.options import LimitOption, SinceOption, WatchOption  # noqa: TC001 - Typer reads annotations
from flunq.cli.running import run_async
from flunq.core.statuses import STATUSES, checked_statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.client import Client
    from flunq.core.protocol import Summary

_PAGE = 500
_WATCH_SECONDS = 1.0
_MICROSECONDS = 1_000_000


def _complete_status() -> list[str]:
    return list(STATUSES)


def command(
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
    wanted = _Wanted(status=_statuses(status), workflow=workflow, since=since, limit=limit)
    if watch:
        run_async(_watch(wanted), on_interrupt=0)
    else:
        run_async(_list(wanted))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What the command line asks for."""

    status: tuple[str, ...] | None
    workflow: str | None
    since: datetime | None
    limit: int


async def _list(wanted: _Wanted) -> None:
    limit = wanted.limit
    async with connected() as client:
        found = await _find(client, wanted)
    _show(found[:limit] if limit else found)
    if limit and len(found) > limit:
        diagnostics.say(f"the newest {limit} are shown; -n 0 for all")
    elif not found and as_rows():
        diagnostics.say("no executions; start one with: flunq run FILE")


def _statuses(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return checked_statuses(word for text_ in given or () for word in text_.split(","))


async def _find(client: Client, asked: _Wanted) -> list[Summary]:
    """Return one more than ``limit``, so that the caller knows whether there are more."""
    oldest = int(asked.since.timestamp() * _MICROSECONDS) if asked.since else 0
    limit = asked.limit
    found: list[Summary] = []
    before: tuple[int, str] | None = None
    while True:
        wanted = min(_PAGE, limit + 1 - len(found)) if limit else _PAGE
        page = await client.list(
            limit=wanted, before=before, status=asked.status, workflow=asked.workflow
        )
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


async def _watch(wanted: _Wanted) -> None:
    """Redraw on a terminal; elsewhere print what changed, a line each."""
    async with connected() as client:
        if not text.is_terminal(sys.stdout):
            await _print_changes(client, wanted)
        while True:
            found = await _find(client, wanted)
            output.emit_raw("\x1b[H\x1b[2J")
            _show(found[: wanted.limit] if wanted.limit else found)
            await asyncio.sleep(_WATCH_SECONDS)


async def _print_changes(client: Client, wanted: _Wanted) -> NoReturn:
    from flunq.cli.rendering.executions import summary_json

    lines = output.Lines(lambda item: f"{item['id']}  {item['status']}")
    known: dict[str, str] = {}
    while True:
        found = await _find(client, wanted)
        for each in reversed(found[: wanted.limit] if wanted.limit else found):
            if known.get(each.id) != each.status:
                known[each.id] = each.status
                lines.write(summary_json(each))
        await asyncio.sleep(_WATCH_SECONDS)
