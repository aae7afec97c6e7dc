"""A cluster as a source: one push subscription for all views, questions for the rest."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.protocol import Commits
from flunq.errors import FlunqError, UnavailableError
from flunq_tui.model.formats import micros
from flunq_tui.source import Hear, Link, Partition, Query, Queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from flunq.client import Client
    from flunq.client.reasons import Why
    from flunq.core.events import LazyEvent
    from flunq.core.letters import Letter
    from flunq.core.protocol import (
        Definition,
        DefinitionText,
        Details,
        LakeView,
        ScheduleView,
        Summary,
    )
    from flunq.services.supervising.statefile import ClusterState
    from flunq.store.query_job import Reply
    from flunq.telemetry.lines import LogLine

    Connect = Callable[[], AbstractAsyncContextManager[Client]]

_BURST = 500
"""Events taken in one go before the screen gets its turn."""
_FRAME = 0.1
"""Seconds in which events are collected for one refresh."""
_PULSE = 2.0
"""After so many seconds of silence the cluster is asked whether it is there."""
_PATIENCE = 2.0
"""Seconds to wait for services that a small cluster may lack."""
_FIRES = 5
"""Next fires and last runs of each schedule."""
_MOST_LETTERS = 500
_LETTERS_PAUSE = 30_000_000
_END = 1 << 53
_MOST_WAITING = 5_000
"""Events kept for one frame; of a greater burst views hear the newest only."""


class _Head(msgspec.Struct):
    number: int = 0
    epoch: int = 0
    node: str = ""


class _Commit(msgspec.Struct):
    time: str = ""
    data: _Head = msgspec.field(default_factory=_Head)


_heads = msgspec.json.Decoder(tuple[_Commit, ...]).decode


def now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1_000


class LiveSource:
    """Talks to a cluster through the client; reconnects by itself and says so."""

    offline = False

    def __init__(self, connect: Connect, *, link: Link, data: Path | None = None) -> None:
        self.link = link
        self.lost_events = 0
        self._connect = connect
        self._data = data
        self._client: Client | None = None
        self._stack = AsyncExitStack()
        self._hearers: list[Hear] = []
        self._link_hearers: list[Callable[[Link], None]] = []
        self._waiting: list[LazyEvent] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._letters_again = 0
        """When it is worth asking for dead letters again: nobody kept them."""

    # -- the connection ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect; raises FlunqError when there is no cluster."""
        try:
            self._client = await self._stack.enter_async_context(self._connect())
            await self._client.info()
        except FlunqError as error:
            self._enter("lost", error.message)
            raise
        self._enter("live")
        self._tasks = [
            asyncio.create_task(self._listen(), name="tui-feed"),
            asyncio.create_task(self._deliver(), name="tui-frames"),
            asyncio.create_task(self._feel_pulse(), name="tui-pulse"),
        ]

    async def close(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._stack.aclose()

    def subscribe(self, hear: Hear) -> Callable[[], None]:
        """Hand events on, those of a tenth of a second together."""
        self._hearers.append(hear)
        return lambda: self._hearers.remove(hear) if hear in self._hearers else None

    def on_link(self, hear: Callable[[Link], None]) -> None:
        """Tell of changes of the connection."""
        self._link_hearers.append(hear)

    def _enter(self, state: str, problem: str = "") -> None:
        moment = now()
        heard = moment if state == "live" else self.link.heard
        before = self.link
        since = before.since if before.state == state else moment
        self.link = msgspec.structs.replace(
            before, state=state, since=since, heard=heard, problem=problem
        )
        if before.state != state or before.problem != problem:
            for hear in list(self._link_hearers):
                hear(self.link)

    async def _listen(self) -> None:
        while True:
            try:
                await self._take_events()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next try may work
                self._enter("lost", getattr(error, "message", str(error)))
                await asyncio.sleep(_PULSE)

    async def _take_events(self) -> None:
        from flunq.client.feed import GAP

        taken = 0
        # After a long sleep the present matters, not all that has happened since.
        async for event in self._client_now.events(archived=False):
            self._waiting.append(event)
            if event.type == GAP:
                self.lost_events += 1
            taken += 1
            if len(self._waiting) > _MOST_WAITING:
                self.lost_events += len(self._waiting) // 2
                del self._waiting[: len(self._waiting) // 2]
            if taken % _BURST == 0:
                # A full queue never suspends; the screen must have its turn.
                await asyncio.sleep(0)

    async def _deliver(self) -> None:
        while True:
            await asyncio.sleep(_FRAME)
            if self._waiting:
                events, self._waiting = self._waiting, []
                self._enter("live")
                for hear in list(self._hearers):
                    hear(events)

    async def _feel_pulse(self) -> None:
        while True:
            await asyncio.sleep(_PULSE)
            if now() - self.link.heard < _PULSE * 1_000_000:
                continue
            try:
                async with asyncio.timeout(_PULSE):
                    await self._client_now.ask_owner(0, Commits(after=_END, upto=_END))
            except Exception as error:  # noqa: BLE001 - the pulse must go on, whatever it was
                self._enter("lost", getattr(error, "message", ""))
            else:
                self._enter("live")

    @property
    def _client_now(self) -> Client:
        if self._client is None:
            raise UnavailableError(self.link.problem or "not connected yet")
        return self._client

    # -- questions ---------------------------------------------------------------------------------

    async def executions(self, query: Query) -> Sequence[Summary]:
        """Return a page of executions of all partitions."""
        return await self._client_now.list(
            limit=query.limit,
            before=query.before,
            status=query.statuses or None,
            workflow=query.workflow or None,
        )

    async def details(self, execution: str) -> Details:
        """Return one execution."""
        return await self._client_now.get(execution)

    def history(self, execution: str) -> AsyncIterator[LazyEvent]:
        """Yield the events of an execution so far."""
        return self._client_now.history(execution)

    async def workflows(self) -> Sequence[Definition]:
        """Return all registered versions."""
        return await self._client_now.workflows()

    async def definition(self, name: str) -> DefinitionText:
        """Return a definition."""
        return await self._client_now.workflow(name)

    async def schedules(self) -> Sequence[ScheduleView]:
        """Return the schedules in force, each with its next fires and last runs."""
        return await self._client_now.schedules.list(count=_FIRES)

    async def partitions(self) -> Sequence[Partition]:
        """Read the last commit of each partition."""
        client = self._client_now
        info = await client.info()
        return await asyncio.gather(
            *(_partition(client, number) for number in range(info.partitions))
        )

    async def archive(self) -> LakeView | None:
        """Ask the historian, for a moment only: there may be none."""
        try:
            async with asyncio.timeout(1.0):
                return await self._client_now.archive.status()
        except (FlunqError, TimeoutError):
            return None

    async def cluster(self) -> ClusterState | None:
        """Read the state that the supervisor publishes."""
        if self._data is None:
            return None
        from flunq.services.supervising.layout import DataDirectory
        from flunq.services.supervising.statefile import running_state

        return await asyncio.to_thread(running_state, DataDirectory(self._data))

    async def queues(self) -> Sequence[Queue]:
        """Ask the servers that the supervisor of this machine started."""
        from flunq_tui.backlog import queues_of

        state = await self.cluster()
        return [] if state is None else await queues_of(state.nats.monitors, self.link.tenant)

    async def logs(self, limit: int) -> Sequence[LogLine]:
        """Read the ends of the logs."""
        if self._data is None:
            return []
        from flunq.services.supervising.layout import DataDirectory
        from flunq.services.supervising.logfiles import merged, services_of

        directory = DataDirectory(self._data)
        names = await asyncio.to_thread(services_of, directory.logs)
        paths = [directory.log_file(name) for name in names]
        return await asyncio.to_thread(merged, paths, limit=limit)

    async def query(self, sql: str, limit: int) -> AsyncIterator[Reply]:
        """Let the cluster run a query."""
        from flunq.client.sql import ask_cluster
        from flunq.store.query_job import Limits, Question

        question = Question(sql=sql, max_rows=limit)
        async for reply in ask_cluster(self._client_now, question, Limits()):
            yield reply

    async def why(self, execution: str) -> Why | None:
        """Ask everybody who may know; None if they do not answer soon."""
        from flunq.client.why import explain

        try:
            async with asyncio.timeout(_PATIENCE):
                return await explain(self._client_now, execution)
        except TimeoutError:
            return None

    async def letters(self) -> Sequence[Letter]:
        """Return the dead letters, newest first; none where nobody keeps them."""
        if now() < self._letters_again:
            return []
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._client_now.dead_letters.list(limit=_MOST_LETTERS)
        except (UnavailableError, TimeoutError):
            self._letters_again = now() + _LETTERS_PAUSE
            return []

    async def letter(self, name: str) -> Letter:
        """Return a dead letter with its body."""
        return await self._client_now.dead_letters.show(name)

    # -- actions -----------------------------------------------------------------------------------

    async def act(self, action: str, execution: str, **values: Any) -> str:
        """Steer one execution: the actions are called like the client's methods."""
        steer: Callable[..., Any] = getattr(self._client_now, action)
        done = await steer(execution, **values)
        return str(getattr(done, "status", done))

    async def fork(self, execution: str, *, at: int | None, **values: Any) -> str:
        """Begin a new execution where another one was."""
        return (await self._client_now.fork(execution, at=at, **values)).id

    async def settle(self, action: str, letter: str, body: str | None = None) -> str:
        """Put a dead letter back, or drop it."""
        letters = self._client_now.dead_letters
        if action == "drop":
            await letters.drop(letter)
            return ""
        done = await letters.retry(letter, body=body)
        return str(getattr(done, "detail", done))

    async def start(self, workflow: str, value: Any, execution: str | None) -> str:
        """Start an execution."""
        return (await self._client_now.start(workflow, value, id=execution)).id

    async def emit(self, events: Iterable[dict[str, Any]]) -> None:
        """Publish CloudEvents."""
        await self._client_now.emit(events)

    async def export(self, execution: str, folder: Path) -> Path:
        """Write an execution with its history into a file."""
        from flunq.client.export import export_execution

        path = folder / f"{execution}.flunq.gz"
        await export_execution(self._client_now, execution, path)
        return path

    async def steer(self, action: str, schedule: str) -> str:
        """Pause, resume, skip, unskip or trigger a schedule."""
        schedules = self._client_now.schedules
        if action == "trigger":
            return (await schedules.trigger(schedule)).id
        view = await getattr(schedules, action)(schedule)
        return str(view.status)


async def _partition(client: Client, number: int) -> Partition:
    end = (await client.ask_owner(number, Commits(after=_END, upto=_END))).cursor
    if not 0 < end < _END:
        return Partition(number=number)
    page = await client.ask_owner(number, Commits(after=end - 1, upto=end))
    if not page.items:
        return Partition(number=number, position=end)
    head = _heads(bytes(page.items[-1]))[0]
    return Partition(
        number=number,
        owner=head.data.node,
        epoch=head.data.epoch,
        commits=head.data.number,
        position=end,
        moment=micros(head.time),
    )
