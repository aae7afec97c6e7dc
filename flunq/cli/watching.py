"""Show on stderr how an execution gets on while a command waits for it."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flunq.cli import diagnostics, text
from flunq.cli.progress import effective_mode, progress
from flunq.cli.session import ProgressMode
from flunq.core.amounts import render_duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flunq.cli.progress import Progress
    from flunq.client import Client
    from flunq.core.events import LazyEvent

_PATIENCE = 0.25
_PAUSE = 0.25
_SILENCE = 2.0
_STUCK_SECONDS = 3.0
QUEUED = ("", "queue")
"""The node of a task that no node holds in its memory."""
_NAMED = 3
_MICROSECONDS = 1_000_000
_HALF_A_DAY = 43_200.0


@asynccontextmanager
async def watched(client: Client, execution: str) -> AsyncIterator[None]:
    """Show the tasks of an execution while the block runs."""
    mode = effective_mode()
    if mode is ProgressMode.NONE:
        yield
        return
    with progress(f"waiting for {execution}") as shown:
        board = Board(live=mode is ProgressMode.AUTO)
        following = asyncio.create_task(_follow(client, execution, board, shown))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _follow(client: Client, execution: str, board: Board, shown: Progress) -> None:
    from flunq.errors import FlunqError

    await asyncio.sleep(_PATIENCE)
    cursor = 0
    while True:
        try:
            events, cursor = await _news(client, execution, cursor, shown)
        except FlunqError:
            # Who waits for the result hears of it; this is only the decoration.
            await asyncio.sleep(_PAUSE)
            continue
        for event in events:
            line = board.take(event)
            if line is not None and board.live:
                diagnostics.write_status(f"\r\x1b[K{line}\n")
        if board.is_stuck_on_calls():
            await _tell_queued(client, execution)
        shown.update(board.message() or f"waiting for {execution}")
        await asyncio.sleep(_PAUSE)


async def _news(
    client: Client, execution: str, cursor: int, shown: Progress
) -> tuple[Sequence[LazyEvent], int]:
    """Ask for what happened since; say so when nobody answers, as while a cluster is away."""
    asking = asyncio.ensure_future(client.history_page(execution, cursor))
    try:
        answered, _ = await asyncio.wait([asking], timeout=_SILENCE)
        if not answered:
            shown.update("the cluster does not answer; waiting for it")
        events, cursor, _ = await asking
    finally:
        asking.cancel()
    return events, cursor


async def _tell_queued(client: Client, execution: str) -> None:
    """Name the calls that no executor was free for: perhaps none hosts the function."""
    from flunq.errors import FlunqError

    try:
        details = await client.get(execution)
    except FlunqError:
        return
    for item in details.waiting:
        kind = str(item.get("kind", ""))
        if item.get("node") in QUEUED and kind.startswith("function:"):
            name = kind.partition(":")[2]
            diagnostics.write_status("\r\x1b[K" if effective_mode() is ProgressMode.AUTO else "")
            diagnostics.say(
                f"{name} is on the queue: its executors are busy, or none hosts it",
                "host it with: flunq up --functions FILE",
            )


@dataclass(kw_only=True, slots=True)
class _Open:
    name: str
    kind: str
    parent: int
    since: float
    due: float | None = None
    retrying: bool = False


class Board:
    """The open tasks of one execution."""

    def __init__(self, *, live: bool) -> None:
        self.live = live
        """Whether lines update in place, so that a countdown makes sense."""
        self._open: dict[int, _Open] = {}
        self._told: set[int] = set()

    def take(self, event: LazyEvent) -> str | None:
        """Note an event; returns the line that tells of a task's end."""
        from flunq.core import events as types

        if not event.type.startswith(types.TASK):
            return None
        data = event.value()
        step = data.get("step")
        if event.type == types.TASK_STARTED:
            self._open[step] = _started(data)
        elif event.type == types.TASK_RETRIED and step in self._open:
            self._open[step].due = data["due"] / _MICROSECONDS if "due" in data else None
            self._open[step].retrying = True
        elif event.type in (types.TASK_COMPLETED, types.TASK_FAULTED, types.TASK_CANCELLED):
            ended = self._open.pop(step, None)
            return None if ended is None else _end_line(ended, event)
        return None

    def is_stuck_on_calls(self) -> bool:
        """Tell, once for each, that a call has been open for a while."""
        limit = time.time() - _STUCK_SECONDS
        stuck = {
            step
            for step, task in self._open.items()
            if task.kind in ("call", "run") and task.since < limit
        }
        fresh = stuck - self._told
        self._told |= fresh
        return bool(fresh)

    def message(self) -> str:
        """Return what the execution is doing now."""
        parents = {task.parent for task in self._open.values()}
        leaves = [task for step, task in self._open.items() if step not in parents]
        named = ", ".join(self._describe(task) for task in leaves[:_NAMED])
        more = f" and {len(leaves) - _NAMED} more" if len(leaves) > _NAMED else ""
        return named + more

    def _describe(self, task: _Open) -> str:
        word = f"{task.name} will be retried" if task.retrying else task.name
        if task.due is None:
            return word
        if self.live:
            return f"{word}, {render_duration(max(0.0, task.due - time.time()))} left"
        return f"{word} until {_clock(task.due)}"


def _clock(moment: float) -> str:
    """Return a time of day, with the day unless that is within half of one."""
    near = abs(moment - time.time()) < _HALF_A_DAY
    return time.strftime("%H:%M:%S" if near else "%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _started(data: dict[str, Any]) -> _Open:
    from flunq.cli.rendering.events import task_name

    due = data.get("due")
    return _Open(
        name=task_name(str(data["task"])),
        kind=str(data.get("kind", "")),
        parent=int(data.get("parent", 0)),
        since=_moment(data["startedAt"]),
        due=None if due is None else due / _MICROSECONDS,
    )


def _end_line(task: _Open, event: LazyEvent) -> str:
    word = event.type.removesuffix(".v1").rpartition(".")[2]
    took = render_duration(max(0.0, _moment(event.time) - task.since))
    painted = text.paint(word.ljust(9), text.status_style(word), sys.stderr)
    return f"{painted} {text.neutralise(task.name)}  {took}"


def _moment(value: Any) -> float:
    from datetime import datetime

    return datetime.fromisoformat(str(value)).timestamp()
