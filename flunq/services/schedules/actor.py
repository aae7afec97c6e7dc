"""One schedule at work: what is due is decided and stored, then it happens, then that is noted.

Whatever interrupts this, the next keeper finds in the record what was decided, and repeats it
under the same ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from flunq.core.events import timestamp
from flunq.core.execution.commands import Cancel, Start, WorkflowRef
from flunq.core.expressions import NeedsEvaluation
from flunq.core.protocol import Fired
from flunq.core.scheduling.deciding import (
    MAX_PENDING,
    cancellable,
    ended,
    next_wake,
    settled,
    stumbled,
    tick,
    watched,
)
from flunq.core.scheduling.hearing import hear, shed, types_of
from flunq.core.scheduling.plan import Plan, compile_plan
from flunq.core.scheduling.policies import ScheduleError
from flunq.core.tracing import context_of_events
from flunq.core.traffic import priority_of_events
from flunq.log.ports import MessageTooLargeError
from flunq.services.lasting import heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.expressions import Answer
    from flunq.core.expressions.engine import ExpressionEngine
    from flunq.core.protocol import Reply
    from flunq.core.scheduling.state import Outcome, Pending, ScheduleState
    from flunq.services.background import Background
    from flunq.services.clock import Clock
    from flunq.services.schedules.cell import Cell
    from flunq.services.schedules.runs import Runs

log = logging.getLogger(__name__)

LAZY = 0.5
"""Seconds after which an acknowledgement is noted that nothing waits for."""
LONGEST = 3_600.0
"""Sleep no longer: the clock may be set, and a machine may sleep itself."""
EVENTS = 64
"""Events decided in one step."""
STRIDE = 1_000
"""Events that a new keeper may have to look at again."""
ROOM = 512
"""Events that may wait for their step."""


class _Settled(NamedTuple):
    """What became of a start."""

    outcome: Outcome
    detail: str
    part_of: str = ""
    """The execution that it is part of, where its workflow collects starts."""


class Tools:
    """What all schedules of a keeper share."""

    def __init__(
        self, *, runs: Runs, clock: Clock, engine: ExpressionEngine, variables: dict[str, Any]
    ) -> None:
        self.runs = runs
        self.clock = clock
        self.engine = engine
        self.variables = variables
        """What the expressions of filters can see."""


class Actor:
    """Runs one schedule while this process keeps it."""

    def __init__(self, cell: Cell, tools: Tools, background: Background) -> None:
        self.cell = cell
        self.plan: Plan | None = None
        self.passed = 0
        """Events of the bus up to here are no concern of this schedule, or wait in ``_events``."""
        self._tools = tools
        self._background = background
        self._planned: tuple[Any, ...] = ()
        self._problem = ""
        self._woken = asyncio.Event()
        self._noting = False
        self._room = asyncio.Event()
        self._room.set()
        self._events: deque[tuple[int, dict[str, Any]]] = deque()
        self._types: frozenset[str] | None = None
        self._outcomes: dict[str, _Settled] = {}
        self._ends: dict[str, int] = {}
        self._flying: set[str] = set()
        self._cancelling: set[str] = set()
        self._answers: dict[str, Answer] = {}
        self._waiters: dict[str, asyncio.Future[Fired]] = {}

    async def run(self) -> None:
        """Keep the schedule until it is gone."""
        while True:
            self._woken.clear()
            if await self.cell.load() is None:
                return
            state = await self._step()
            if state is None:
                return
            self._release(state)
            await self._sleep(state)

    def wake(self) -> None:
        """Look again now."""
        self._woken.set()

    def doubt(self) -> None:
        """Read the record again: somebody may have changed it."""
        self.cell.doubt()
        self.wake()

    def outcome(self, execution: str) -> asyncio.Future[Fired]:
        """Return what will have become of a start."""
        waiter = self._waiters.get(execution)
        if waiter is None:
            waiter = self._waiters[execution] = asyncio.get_running_loop().create_future()
        return waiter

    # -- events ------------------------------------------------------------------------------------

    def wants(self, event_type: str) -> bool:
        """Tell whether events of a type can matter."""
        return self._types is None or event_type in self._types

    def skip(self, seq: int) -> None:
        """Pass over an event that is no concern of this schedule."""
        self.passed = seq
        if self.cell.state is not None and seq - self.cell.state.heard >= STRIDE:
            self.wake()

    async def take(self, seq: int, event: dict[str, Any]) -> None:
        """Take an event, once there is room."""
        await self._room.wait()
        self._events.append((seq, event))
        self.passed = seq
        if len(self._events) >= ROOM:
            self._room.clear()
        self.wake()

    async def begin_anew(self) -> None:
        """Hear the bus from its beginning: it is another one."""
        self._events.clear()
        self._room.set()
        self.passed = 0
        await self.cell.change(lambda state: state and replace(state, heard=0))

    def position(self) -> int:
        """Return the sequence after which this schedule has to hear the bus."""
        state = self.cell.state
        return max(self.passed, 0 if state is None else state.heard)

    # -- deciding ----------------------------------------------------------------------------------

    async def _step(self) -> ScheduleState | None:
        """Note what has happened and decide what is due; returns what is stored now."""
        outcomes, ends = dict(self._outcomes), dict(self._ends)
        events = self._batch()
        upto = self.passed if len(events) == len(self._events) else 0

        def transition(state: ScheduleState | None) -> ScheduleState | None:
            if state is None or not state.digest:
                return state
            plan = self.plan_of(state)
            if plan is None:
                return stumbled(state, self._problem, self._tools.clock.now())
            decided = self._decide(state, plan, outcomes, ends, events)
            return self._with_position(state, decided, upto)

        state = await self._change(transition)
        for execution in outcomes:
            self._outcomes.pop(execution, None)
            self._flying.discard(execution)
        for execution in ends:
            self._ends.pop(execution, None)
            self._cancelling.discard(execution)
        for _ in events:
            self._events.popleft()
        if len(self._events) < ROOM:
            self._room.set()
        if self._events and events:
            self.wake()
        return state

    def _batch(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the next events, none while too many starts are on their way."""
        state = self.cell.state
        if state is not None and len(state.pending) >= MAX_PENDING:
            return []
        return [self._events[place] for place in range(min(EVENTS, len(self._events)))]

    def _decide(
        self,
        state: ScheduleState,
        plan: Plan,
        outcomes: dict[str, _Settled],
        ends: dict[str, int],
        events: list[tuple[int, dict[str, Any]]],
    ) -> ScheduleState:
        now = self._tools.clock.now()
        for start, (outcome, detail, part_of) in outcomes.items():
            state = settled(state, plan, start, outcome, detail, now, part_of)
        for execution, at in ends.items():
            state = ended(state, plan, execution, at)
        for seq, event in events:
            state = hear(state, plan, seq, event, self._tools.variables, self._answers, now)
        return tick(state, plan, now)

    def _with_position(
        self, before: ScheduleState, after: ScheduleState, upto: int
    ) -> ScheduleState:
        """Note how far the bus was heard, with another change or once it is far enough."""
        if upto <= after.heard or (after is before and upto - after.heard < STRIDE):
            return after
        return replace(after, heard=upto)

    async def _change(
        self, transition: Callable[[ScheduleState | None], ScheduleState | None]
    ) -> ScheduleState | None:
        lighter = transition
        while True:
            try:
                state = await self.cell.change(lighter)
            except NeedsEvaluation as request:
                need = request.need
                self._answers[need.key] = await self._tools.engine.evaluate(need)
            except MessageTooLargeError:
                lighter = _shedding(transition, self._tools.clock.now())
            else:
                self._answers.clear()
                return state

    def plan_of(self, state: ScheduleState) -> Plan | None:
        """Return the compiled schedule, None if it cannot be used."""
        key = (state.block, state.settings, state.overrides)
        if key != self._planned:
            self._planned = key
            try:
                self.plan = compile_plan(*key)
            except ScheduleError as error:
                self.plan, self._problem = None, str(error)
            listen = None if self.plan is None else self.plan.on
            self._types = None if listen is None else types_of(listen)
        return self.plan

    # -- what follows ------------------------------------------------------------------------------

    def _release(self, state: ScheduleState) -> None:
        """Let everything happen that is stored as decided and has not happened yet."""
        runs = self._tools.runs
        for pending in state.pending:
            if pending.id not in self._flying:
                self._flying.add(pending.id)
                self._background.run(self._start(state, pending))
        for execution in cancellable(state):
            if execution not in self._cancelling:
                self._cancelling.add(execution)
                self._background.run(self._cancel(execution))
        for execution in watched(state):
            if execution not in self._ends:
                runs.watch(execution, self._ended)

    async def _start(self, state: ScheduleState, pending: Pending) -> None:
        ref = WorkflowRef(
            namespace=state.namespace,
            name=state.name,
            version=pending.version,
            digest=pending.digest,
        )
        tags = {"schedule": state.full_name, "scheduled-at": timestamp(pending.at)}
        events = pending.input if pending.cause == "event" else None
        start = Start(
            id=pending.id,
            workflow=ref,
            input=pending.input,
            tags=tags,
            traceparent=context_of_events(events),
            priority=priority_of_events(events),
        )
        reply = _outcome_of(await self._tools.runs.send(start), pending)
        outcome, detail, part_of = self._outcomes[pending.id] = reply
        waiter = self._waiters.pop(pending.id, None)
        if waiter is not None and not waiter.done():
            name = part_of or pending.id
            waiter.set_result(Fired(id=name, at=pending.at, outcome=outcome, detail=detail))
        if outcome == "refused":
            log.warning("schedule %s: %s was refused: %s", state.full_name, pending.id, detail)
        self._note_soon(urgent=outcome == "refused" or self._is_awaited(pending))

    def _is_awaited(self, pending: Pending) -> bool:
        return pending.cause == "after" or (self.plan is not None and self.plan.watches)

    def _note_soon(self, *, urgent: bool) -> None:
        """Note an acknowledgement with the next step; where nothing waits for it, a bit later."""
        if urgent or len(self._outcomes) >= EVENTS:
            self.wake()
        elif not self._noting:
            self._noting = True
            asyncio.get_running_loop().call_later(LAZY, self._note_now)

    def _note_now(self) -> None:
        self._noting = False
        self.wake()

    async def _cancel(self, execution: str) -> None:
        reason = f"the schedule {self.cell.namespace}/{self.cell.name} starts the next run"
        await self._tools.runs.send(Cancel(id=execution, reason=reason))
        self._ends.setdefault(execution, self._tools.clock.now())
        self.wake()

    def _ended(self, execution: str) -> None:
        self._background.run(self._note_end(execution))

    async def _note_end(self, execution: str) -> None:
        now = self._tools.clock.now()
        state = self.cell.state
        chained = state is not None and state.chain == execution
        at = await self._tools.runs.ended_at(execution) if chained else None
        self._ends[execution] = now if at is None else at
        self.wake()

    async def _sleep(self, state: ScheduleState) -> None:
        """Sleep until something is due or somebody wakes us; never ends early for the core."""
        due = None if self.plan is None else next_wake(state, self.plan)
        if due is None or not state.digest:
            await self._woken.wait()
            return
        delay = max((due - self._tools.clock.now()) / 1_000_000, 0.0)
        await heard(self._woken, within=min(delay, LONGEST))


def _outcome_of(reply: Reply, pending: Pending) -> _Settled:
    if reply.problem is None:
        # A start that is collected is answered with the id of what it is part of.
        part_of = "" if reply.id == pending.id else reply.id
        return _Settled("started" if reply.code == 201 or part_of else "exists", "", part_of)
    detail = str(reply.problem.get("detail") or reply.problem.get("title") or "")
    if reply.code == 409 and pending.cause != "trigger":
        # The same fire, started earlier by another version of the workflow.
        return _Settled("exists", detail)
    return _Settled("refused", detail)


def _shedding(
    transition: Callable[[ScheduleState | None], ScheduleState | None], now: int
) -> Callable[[ScheduleState | None], ScheduleState | None]:
    """Let go of the older half of what waits: the record has become too large to be stored."""

    def lighter(state: ScheduleState | None) -> ScheduleState | None:
        after = transition(state)
        return None if after is None else shed(after, now)

    return lighter
