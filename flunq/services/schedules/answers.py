"""What clients may ask of the keeper: look at schedules, pause, steer, trigger, make up for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.cron import CronError, time_zone
from flunq.core.protocol import (
    BackfillSchedule,
    Fired,
    FiredPage,
    ListSchedules,
    PauseSchedule,
    ResumeSchedule,
    ScheduleQuestion,
    ScheduleView,
    ShowSchedule,
    SkipSchedule,
    TriggerSchedule,
    UnskipSchedule,
    UpdateSchedule,
)
from flunq.core.scheduling.deciding import (
    demand,
    is_known,
    override,
    pause,
    resume,
    skip,
    skipping,
    to_skip,
    unskip,
    upcoming,
)
from flunq.core.scheduling.fires import fire_id, fires
from flunq.core.scheduling.policies import Overrides, laid_over
from flunq.core.scheduling.state import Pending
from flunq.errors import ConflictError, NotFoundError, RejectedError, UnavailableError
from flunq.services.answering import answered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flunq.core.scheduling.plan import Plan
    from flunq.core.scheduling.state import ScheduleState
    from flunq.services.schedules.actor import Actor
    from flunq.services.schedules.keeper import ScheduleKeeper

PAGE = 50
"""Fires of one page of a backfill."""
PATIENCE = 8.0
"""Seconds in which the owner of an execution must have answered."""
SHOWN = 3
LISTED = 20

_question = msgspec.json.Decoder(ScheduleQuestion).decode


class Answers:
    """Answers questions while its node keeps the schedules."""

    def __init__(self, keeper: ScheduleKeeper) -> None:
        self._keeper = keeper

    async def answer(self, payload: bytes) -> bytes:
        """Answer one encoded question; never raises for what somebody asked."""
        return await answered(payload, _question, self._value)

    async def _value(self, question: ScheduleQuestion) -> Any:
        if isinstance(question, ListSchedules):
            return await self._list(question)
        actor = self._find(question.name)
        if isinstance(question, ShowSchedule):
            return self._view(actor, await _state(actor), question.count, notes=None)
        if isinstance(question, TriggerSchedule):
            return await self._trigger(actor, question)
        if isinstance(question, BackfillSchedule):
            return await self._backfill(actor, question)
        if isinstance(question, SkipSchedule | UnskipSchedule):
            return await self._skip(actor, question)
        return await self._steer(actor, question)

    # -- looking -----------------------------------------------------------------------------------

    async def _list(self, question: ListSchedules) -> list[ScheduleView]:
        prefix, count = question.prefix, min(max(question.count, 1), LISTED)
        found = []
        for (namespace, name), actor in sorted(self._keeper.actors.items()):
            if not (f"{namespace}/{name}".startswith(prefix) or name.startswith(prefix)):
                continue
            state = await actor.cell.load()
            if state is not None and state.digest:
                found.append(self._view(actor, state, count, notes=count))
        return found

    def _find(self, name: str) -> Actor:
        wanted = name.partition(":")[0]
        actors = self._keeper.actors
        namespace, slash, plain = wanted.rpartition("/")
        if slash:
            found = [key for key in actors if key == (namespace, plain)]
        else:
            found = [key for key in actors if key[1] == plain]
        if not found:
            raise NotFoundError(
                f"no schedule of a workflow {wanted}", hint="flunq schedules list shows them"
            )
        if len(found) > 1:
            spaces = ", ".join(sorted(key[0] for key in found))
            raise RejectedError(f"'{wanted}' is in several namespaces", hint=f"one of: {spaces}")
        return actors[found[0]]

    def _view(
        self, actor: Actor, state: ScheduleState, count: int, notes: int | None
    ) -> ScheduleView:
        plan = actor.plan_of(state)
        status = "broken" if plan is None else "active" if state.paused_at is None else "paused"
        now = self._keeper.clock.now()
        policies = Overrides() if plan is None else plan.policies
        return ScheduleView(
            namespace=state.namespace,
            name=state.name,
            version=state.version,
            status=status,
            kinds=() if plan is None else plan.kinds,
            schedule=state.block,
            timezone=policies.timezone or "",
            overlap=policies.overlap or "",
            catch_up=policies.catch_up or 0,
            missed=policies.missed or "",
            since=state.since,
            next=[] if plan is None else upcoming(state, plan, now, min(count, 1000)),
            skipping=[] if plan is None else skipping(state, plan, now, min(count, 1000)),
            skip_upto=state.skip_upto if state.skip_upto > now else None,
            paused_at=state.paused_at,
            reason=state.reason,
            pending=len(state.pending),
            queued="" if state.queued is None else state.queued.id,
            running=tuple(dict.fromkeys((*state.running, *filter(None, (state.chain,))))),
            waiting_events=sum(len(group.held) for group in state.groups),
            counts=state.counts,
            runs=list(reversed(state.notes))[:notes],
            problem=state.problem,
        )

    # -- steering ----------------------------------------------------------------------------------

    async def _steer(
        self, actor: Actor, question: PauseSchedule | ResumeSchedule | UpdateSchedule
    ) -> ScheduleView:
        now = self._keeper.clock.now()
        if isinstance(question, UpdateSchedule):
            _check(question.overrides)
        bus = await self._keeper.bus_end() if isinstance(question, ResumeSchedule) else 0

        def steer(state: ScheduleState) -> ScheduleState:
            if isinstance(question, PauseSchedule):
                return pause(state, question.reason, now)
            if isinstance(question, ResumeSchedule):
                return resume(state, now, bus)
            base = Overrides() if question.reset else state.overrides
            return override(state, laid_over(base, question.overrides))

        state = await _change(actor, steer)
        return self._view(actor, state, SHOWN, notes=1)

    async def _skip(self, actor: Actor, question: SkipSchedule | UnskipSchedule) -> ScheduleView:
        state, shown = await _state(actor), SHOWN
        if isinstance(question, UnskipSchedule):
            state = await _change(actor, unskip)
        else:
            shown = max(shown, question.count)
            # Found once: the change may have to be made twice, and a fire may come in between.
            now = self._keeper.clock.now()
            upto = _end_of_skip(state, _timed(actor, state), question, now)
            state = await _change(actor, lambda state: skip(state, upto, now))
        return self._view(actor, state, shown, notes=1)

    async def _trigger(self, actor: Actor, question: TriggerSchedule) -> Fired:
        state = await _state(actor)
        plan = actor.plan_of(state)
        value: Any = [] if plan is not None and plan.kinds == ("on",) else {}
        if question.input is not msgspec.UNSET:
            value = question.input
        found = Pending(id=question.id, at=self._keeper.clock.now(), cause="trigger", input=value)
        return (await self._demand(actor, [found]))[0]

    async def _backfill(self, actor: Actor, question: BackfillSchedule) -> FiredPage:
        state = await _state(actor)
        plan = _timed(actor, state)
        upto = min(question.upto, self._keeper.clock.now())
        due = fires(plan, state.since, question.after, PAGE, upto=upto)
        found = [
            Pending(id=fire_id(state.namespace, state.name, at), at=at, cause="backfill")
            for at in due
        ]
        after = due[-1] if len(due) == PAGE else None
        if question.dry_run:
            return FiredPage(fires=[Fired(id=each.id, at=each.at) for each in found], after=after)
        return FiredPage(fires=await self._demand(actor, found), after=after)

    async def _demand(self, actor: Actor, wanted: Sequence[Pending]) -> list[Fired]:
        """Start executions; returns what became of each once their owners have answered."""
        before = await _state(actor)
        known = {note.id: note for note in before.notes if is_known(before, note.id)}
        waiting = {each.id: actor.outcome(each.id) for each in wanted if each.id not in known}
        await _change(actor, lambda state: demand(state, wanted))
        if waiting:
            await asyncio.wait(waiting.values(), timeout=PATIENCE)
        fired: list[Fired] = []
        for each in wanted:
            if each.id in known:
                note = known[each.id]
                fired.append(Fired(id=note.execution, at=note.at, outcome="exists"))
            elif waiting[each.id].done():
                fired.append(waiting[each.id].result())
            else:
                raise UnavailableError(
                    f"{each.id} is not acknowledged yet; the keeper goes on trying",
                    hint="look with: flunq schedules show",
                )
        return fired


async def _state(actor: Actor) -> ScheduleState:
    state = await actor.cell.load()
    if state is None or not state.digest:
        raise NotFoundError(f"no schedule of a workflow {actor.cell.name}")
    return state


async def _change(
    actor: Actor, transition: Callable[[ScheduleState], ScheduleState]
) -> ScheduleState:
    state = await actor.cell.change(lambda state: None if state is None else transition(state))
    actor.wake()
    if state is None:
        raise NotFoundError(f"no schedule of a workflow {actor.cell.name}")
    return state


def _timed(actor: Actor, state: ScheduleState) -> Plan:
    plan = actor.plan_of(state)
    if plan is None or not plan.is_timed:
        raise ConflictError(
            f"the schedule of {state.full_name} has no fires that are known in advance",
            hint="only cron and every have some",
        )
    return plan


def _end_of_skip(state: ScheduleState, plan: Plan, question: SkipSchedule, now: int) -> int:
    if question.until is None:
        upto = to_skip(state, plan, now, question.count)
        if not upto:
            raise ConflictError(f"the schedule of {state.full_name} does not fire again")
        return upto
    if question.until <= now:
        raise RejectedError("fires up to a moment that has passed cannot be skipped")
    return question.until


def _check(overrides: Overrides) -> None:
    if overrides.timezone is None:
        return
    try:
        time_zone(overrides.timezone)
    except CronError as error:
        raise RejectedError(str(error)) from None
