"""The keeper: one per tenant, beside the catalog. It runs an actor for every schedule.

Two keepers at the same time, as after a pause of the machine, do no harm: a decision counts only
once it is stored by compare-and-set, and a start is the same start whoever sends it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

from flunq.core.protocol import schedule_changed_subject, schedules_subject
from flunq.core.scheduling.deciding import adopt
from flunq.core.scheduling.plan import compile_plan
from flunq.core.scheduling.policies import ScheduleError, settings_of
from flunq.core.scheduling.state import ScheduleState
from flunq.errors import NotFoundError, RejectedError
from flunq.log.ports import NoResponderError, OutcomeUnknownError, TransportLostError
from flunq.services.background import Background
from flunq.services.lasting import heard
from flunq.services.schedules.actor import Actor, Tools
from flunq.services.schedules.answers import Answers
from flunq.services.schedules.cell import Cell, keys_of
from flunq.services.schedules.follower import Follower
from flunq.services.schedules.runs import Runs

if TYPE_CHECKING:
    from flunq.core.execution.commands import WorkflowRef
    from flunq.core.expressions.engine import ExpressionEngine
    from flunq.log.ports import Database, EventStream
    from flunq.services.clock import Clock
    from flunq.services.worker.definitions import Definitions

log = logging.getLogger(__name__)

SWEEP = 60.0
"""Seconds after which is looked again for what no notice told of."""
RETRY = 1.0

REGISTRATION = 60_000_000
"""Microseconds that a registration takes at most, from its announcement to its end."""

Name: TypeAlias = tuple[str, str]
Found: TypeAlias = "tuple[WorkflowRef, dict[str, Any], Any]"
"""A definition, its ``schedule`` and the policies of its metadata."""


class ScheduleKeeper:
    """All schedules of a tenant. :meth:`run` keeps them; the catalog tells of definitions."""

    def __init__(
        self,
        tenant: str,
        partitions: int,
        *,
        stream: EventStream,
        database: Database,
        definitions: Definitions,
        clock: Clock,
        engine: ExpressionEngine,
        runtime: dict[str, Any],
    ) -> None:
        self.clock = clock
        self.actors: dict[Name, Actor] = {}
        self._tenant = tenant
        self._partitions = partitions
        self._stream = stream
        self._database = database
        self._definitions = definitions
        self._engine = engine
        self._variables = {"runtime": runtime}
        self._cells: dict[Name, Cell] = {}
        self._changed = asyncio.Event()
        self._background: Background | None = None
        self._tools: Tools
        self._follower: Follower

    # -- what the catalog tells --------------------------------------------------------------------

    async def announce(self, document: dict[str, Any]) -> None:
        """Make sure that a document's schedule is found, whatever interrupts its registration.

        Raises RejectedError when it cannot be used.
        """
        block = document.get("schedule")
        if not block:
            return
        try:
            compile_plan(block, settings_of(document))
        except ScheduleError as error:
            raise RejectedError(f"schedule: {error}") from None
        head = document["document"]
        namespace, name = str(head["namespace"]), str(head["name"])

        def begin(state: ScheduleState | None) -> ScheduleState:
            fresh = ScheduleState(namespace=namespace, name=name, since=self.clock.now())
            return state or fresh

        await self.cell(namespace, name).change(begin)

    async def sync(self, namespace: str, name: str, *, wanted: bool = False) -> None:
        """Put the schedule of a workflow's newest version into force, or out of it.

        Only a schedule that was announced, or is ``wanted`` now, is kept.
        """
        cell = self.cell(namespace, name)
        cell.doubt()
        if await cell.load() is None and not wanted:
            self._cells.pop((namespace, name), None)
            return
        found = await self._newest(namespace, name)
        while True:
            await self._follow(cell, found, wanted=wanted)
            newer = await self._newest(namespace, name)
            if newer == found:
                break
            found = newer
        subject = schedule_changed_subject(self._tenant)
        await self._stream.requests.notify(subject, f"{namespace}/{name}".encode())
        self._changed.set()

    async def _follow(self, cell: Cell, found: Found | None, *, wanted: bool) -> None:
        now = self.clock.now()
        bus = await self.bus_end() if found and "on" in found[1] else 0

        def follow(state: ScheduleState | None) -> ScheduleState | None:
            if found is None:
                return state if _may_come(state, now) else None
            if state is None:
                if not wanted:
                    return None
                state = ScheduleState(namespace=cell.namespace, name=cell.name)
            ref, block, settings = found
            return adopt(state, ref, block, settings, now, bus)

        await cell.change(follow)

    async def bus_end(self) -> int:
        """Return the sequence of the newest event."""
        return await self._stream.bus.last_seq()

    async def _newest(self, namespace: str, name: str) -> Found | None:
        self._definitions.forget_names()
        try:
            ref = await self._definitions.resolve(f"{namespace}/{name}")
            workflow = await self._definitions.get(ref.digest)
        except (NotFoundError, RejectedError):
            return None
        block = workflow.value.get("schedule")
        return (ref, block, settings_of(workflow.value)) if block else None

    # -- keeping -----------------------------------------------------------------------------------

    def cell(self, namespace: str, name: str) -> Cell:
        """Return where a schedule is stored."""
        cell = self._cells.get((namespace, name))
        if cell is None:
            cell = Cell(self._database, self._tenant, namespace, name)
            self._cells[namespace, name] = cell
        return cell

    async def run(self) -> None:
        """Keep the schedules until cancelled, whatever happens."""
        while True:
            try:
                await self._run()
            except Exception as error:  # noqa: BLE001 - schedules must go on after any defect
                _tell("the schedule keeper begins again", error)
            await asyncio.sleep(RETRY)

    async def _run(self) -> None:
        runs = Runs(self._stream, self._tenant, self._partitions)
        self._tools = Tools(
            runs=runs, clock=self.clock, engine=self._engine, variables=self._variables
        )
        self._follower = Follower(self._stream.bus)
        self._cells.clear()
        requests = self._stream.requests
        async with AsyncExitStack() as stack:
            stack.push_async_callback(runs.aclose)
            stack.callback(self._stop)
            self._background = await stack.enter_async_context(Background())
            subject = schedule_changed_subject(self._tenant)
            await stack.enter_async_context(requests.listen(subject, self._hear_of_change))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            group.create_task(runs.run())
            group.create_task(self._follower.run())
            await self.refresh(repair=True)
            answers = Answers(self)
            await stack.enter_async_context(
                requests.serve(schedules_subject(self._tenant), answers.answer)
            )
            await self._follow_changes()

    def _stop(self) -> None:
        self._background = None
        self.actors.clear()

    def _hear_of_change(self, name: bytes) -> None:
        """Another node's catalog may have changed a schedule."""
        namespace, _, plain = name.decode().partition("/")
        actor = self.actors.get((namespace, plain))
        if actor is not None:
            actor.doubt()
        self._changed.set()

    async def _follow_changes(self) -> None:
        while True:
            await heard(self._changed, within=SWEEP)
            self._changed.clear()
            await self.refresh()

    async def refresh(self, *, repair: bool = False) -> None:
        """Run an actor for every schedule there is.

        ``repair`` also finishes registrations that something interrupted.
        """
        head = keys_of(self._tenant)
        for key in await self._database.state.keys(head):
            namespace, _, name = key[len(head) :].partition("/")
            if repair:
                await self.sync(namespace, name)
            actor = self.actor(namespace, name)
            await actor.cell.load()
            self._connect((namespace, name), actor)
            actor.wake()

    def actor(self, namespace: str, name: str) -> Actor:
        """Return the actor of a schedule."""
        key = (namespace, name)
        actor = self.actors.get(key)
        if actor is None:
            assert self._background is not None
            actor = self.actors[key] = Actor(self.cell(*key), self._tools, self._background)
            self._background.run(self._act(key, actor))
        return actor

    def _connect(self, key: Name, actor: Actor) -> None:
        """Let a schedule with ``on`` hear the bus."""
        state = actor.cell.state
        name = "/".join(key)
        plan = None if state is None or not state.digest else actor.plan_of(state)
        if plan is not None and plan.on is not None:
            self._follower.add(name, actor)
        else:
            self._follower.remove(name)

    async def _act(self, key: Name, actor: Actor) -> None:
        try:
            while True:
                try:
                    await actor.run()
                    return
                except Exception as error:  # noqa: BLE001 - one schedule's defect must not stop others
                    _tell(f"schedule {'/'.join(key)} begins again", error)
                    actor.cell.doubt()
                    await asyncio.sleep(RETRY)
        finally:
            self._follower.remove("/".join(key))
            if self.actors.get(key) is actor:
                del self.actors[key]
            self._cells.pop(key, None)


def _may_come(state: ScheduleState | None, now: int) -> bool:
    """Tell whether somebody else is registering the definition right now."""
    return state is not None and not state.digest and now - state.since < REGISTRATION


def _tell(what: str, error: Exception) -> None:
    """An outage is no defect."""
    inner: BaseException = error
    while isinstance(inner, ExceptionGroup) and inner.exceptions:
        inner = inner.exceptions[0]
    if isinstance(inner, (OutcomeUnknownError, NoResponderError, TransportLostError)):
        log.warning("%s: %s", what, inner)
    else:
        log.error("%s", what, exc_info=error)
