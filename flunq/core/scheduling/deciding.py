"""What a schedule does next: each function takes its state and returns the next one.

Every change can be made twice: a start that is decided has its id, and what was decided before is
recognised. So a state that was stored, but whose writer never heard so, does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from flunq.core.duration import SECOND
from flunq.core.events import timestamp
from flunq.core.scheduling.fires import fire_id, fires, newest_fire, next_fire
from flunq.core.scheduling.state import (
    Counts,
    Note,
    Outcome,
    Pending,
    Problem,
    ScheduleState,
    noted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.core.execution.commands import WorkflowRef
    from flunq.core.scheduling.plan import Plan
    from flunq.core.scheduling.policies import Overrides

ON_TIME = 2 * SECOND
"""A fire that is later than this was missed, and the policies say what becomes of it."""
BATCH = 100
"""Fires decided in one step."""
MAX_PENDING = 200
"""Starts that may wait for their acknowledgement before the next fire is decided."""
DONE: tuple[Outcome, ...] = ("started", "exists")
RETRY = SECOND
"""How long an ``after`` schedule waits at least when its run could not be started."""
COUNTED = 100
"""Missed fires are counted up to here; no one needs to know the number of a year's seconds."""

_Tally = dict[str, int]


# --- the definition ---------------------------------------------------------------------------


def adopt(
    state: ScheduleState, ref: WorkflowRef, block: dict[str, Any], settings: Any, now: int, bus: int
) -> ScheduleState:
    """Put a definition's schedule into force; the same schedule goes on undisturbed."""
    changed = replace(state, version=ref.version, digest=ref.digest, settings=settings)
    if state.block == block:
        return changed
    chain = state.chain if "after" in block else ""
    return replace(
        changed,
        block=block,
        since=now - now % SECOND,  # so that ids and times are round
        last=max(state.last, now),
        due=now if "after" in block and not chain else None,
        chain=chain,
        heard=max(state.heard, bus),
        groups=(),
        skip_after=0,
        skip_upto=0,
    )


def override(state: ScheduleState, overrides: Overrides) -> ScheduleState:
    """Set the policies that somebody chose."""
    return replace(state, overrides=overrides)


def pause(state: ScheduleState, reason: str, now: int) -> ScheduleState:
    """Start nothing until resumed."""
    return state if state.paused_at is not None else replace(state, paused_at=now, reason=reason)


def resume(state: ScheduleState, now: int, bus: int) -> ScheduleState:
    """Go on from now; what fired or arrived in the pause is not made up for."""
    if state.paused_at is None:
        return state
    return replace(
        state, paused_at=None, reason="", last=max(state.last, now), heard=max(state.heard, bus)
    )


def skip(state: ScheduleState, upto: int, now: int) -> ScheduleState:
    """Pass over the fires from now up to and including a moment, and over no others."""
    return replace(state, skip_after=now, skip_upto=upto)


def unskip(state: ScheduleState) -> ScheduleState:
    """Pass over nothing that is still to come."""
    return replace(state, skip_after=0, skip_upto=0)


def skipping(state: ScheduleState, plan: Plan, now: int, count: int) -> list[int]:
    """Return the fires to come that somebody asked to skip."""
    if state.skip_upto <= now:
        return []
    return fires(plan, state.since, max(state.last, now), count, upto=state.skip_upto)


def to_skip(state: ScheduleState, plan: Plan, now: int, count: int) -> int:
    """Return the last moment of the next ``count`` fires, 0 if there are none."""
    found = fires(plan, state.since, max(state.last, now), count)
    return found[-1] if found else 0


# --- fires ------------------------------------------------------------------------------------


def tick(state: ScheduleState, plan: Plan, now: int) -> ScheduleState:
    """Decide everything that is due."""
    state = _promoted(state, plan)
    if state.paused_at is not None or len(state.pending) >= MAX_PENDING:
        return state
    if plan.is_timed:
        state = _due_fires(state, plan, now)
    return _due_again(state, plan, now)


def next_wake(state: ScheduleState, plan: Plan) -> int | None:
    """Return when :func:`tick` has something to do, None if only others can change that."""
    if state.paused_at is not None or len(state.pending) >= MAX_PENDING:
        return None
    due = [] if state.due is None else [state.due]
    fire = next_fire(plan, state.since, state.last) if plan.is_timed else None
    return min([*due, *([] if fire is None else [fire])], default=None)


def upcoming(state: ScheduleState, plan: Plan, now: int, count: int) -> list[int]:
    """Return the next fires that are known and not to be skipped, as if nothing were paused."""
    after = max(state.last, now, state.skip_upto)
    known = fires(plan, state.since, after, count)
    if state.due is not None:
        known = sorted({state.due, *known})[:count]
    return known


def _due_fires(state: ScheduleState, plan: Plan, now: int) -> ScheduleState:
    if state.skip_upto:
        # What was due before somebody asked may still wait for room: it is not meant.
        asked = min(now, state.skip_after)
        state = _due_upto(state, plan, asked, now)
        if next_fire(plan, state.since, state.last) in range(asked + 1):
            return state
        state = _skip_wanted(state, plan, now)
    return _due_upto(state, plan, now, now)


def _due_upto(state: ScheduleState, plan: Plan, upto: int, now: int) -> ScheduleState:
    first = next_fire(plan, state.since, state.last)
    if first is None or first > upto:
        return state
    lower = _first_wanted(state, plan, now)
    if first < lower:
        state = _pass_over(state, plan, min(lower - 1, upto), now, "missed")
    for due in fires(plan, state.since, state.last, BATCH, upto=upto):
        found = Pending(id=fire_id(state.namespace, state.name, due), at=due)
        state = replace(admit(state, plan, found, now), last=due)
    return state


def _skip_wanted(state: ScheduleState, plan: Plan, now: int) -> ScheduleState:
    """Note that fires have come that somebody asked to skip."""
    state = _pass_over(state, plan, min(now, state.skip_upto), now, "skipped")
    return state if state.skip_upto > now else unskip(state)


def _first_wanted(state: ScheduleState, plan: Plan, now: int) -> int:
    """Return the moment from which on fires are not too late."""
    on_time = now - ON_TIME
    oldest = min(now - plan.policies.catch_up, on_time)
    if plan.policies.missed == "all":
        return oldest
    if plan.policies.missed == "none":
        return on_time
    begin = max(state.last, oldest - 1)
    if next_fire(plan, state.since, max(state.last, on_time - 1)) in range(on_time, now + 1):
        return on_time
    newest = newest_fire(plan, state.since, begin, on_time - 1)
    return on_time if newest is None else newest


def _pass_over(
    state: ScheduleState, plan: Plan, upto: int, now: int, outcome: Literal["missed", "skipped"]
) -> ScheduleState:
    """Note that the fires up to a moment lead to nothing."""
    passed = fires(plan, state.since, state.last, COUNTED + 1, upto=upto)
    if not passed:
        return state
    count = len(passed)
    what = f"more than {COUNTED} fires were" if count > COUNTED else f"{count} fires were"
    why = f"the last before {timestamp(upto + 1)}" if outcome == "missed" else "as somebody asked"
    detail = f"{'1 fire was' if count == 1 else what} {outcome}, {why}"
    note = Note(at=passed[0], cause="time", outcome=outcome, noted_at=now, detail=detail)
    counts = _counted(state.counts, **{outcome: min(count, COUNTED)})
    return replace(state, last=max(state.last, upto), notes=noted(state, note), counts=counts)


def _due_again(state: ScheduleState, plan: Plan, now: int) -> ScheduleState:
    """Start the next run of an ``after`` schedule, once its time has come."""
    if plan.after is None or state.chain or state.due is None or state.due > now:
        return state
    found = _current(
        state,
        Pending(id=fire_id(state.namespace, state.name, state.due), at=state.due, cause="after"),
    )
    return replace(state, pending=(*state.pending, found), chain=found.id, due=None)


def admit(state: ScheduleState, plan: Plan, found: Pending, now: int) -> ScheduleState:
    """Decide about a fire that has come: start it, or what the overlap policy says."""
    if is_known(state, found.id):
        return state
    overlap = plan.policies.overlap
    busy = bool(state.running or state.pending)
    if overlap == "cancel":
        before = (*state.running, *(pending.id for pending in state.pending))
        cancels = tuple(dict.fromkeys((*state.cancels, *before)))
        state = replace(state, cancels=cancels)
    elif overlap == "queue" and busy and state.queued is None:
        return replace(state, queued=found)
    elif overlap in ("queue", "skip") and busy:
        detail = "another one waits already" if overlap == "queue" else "the last one still runs"
        counts = _counted(state.counts, skipped=1)
        note = _note(found, "skipped", now, detail)
        return replace(state, notes=noted(state, note), counts=counts)
    return replace(state, pending=(*state.pending, _current(state, found)))


def demand(state: ScheduleState, wanted: Iterable[Pending]) -> ScheduleState:
    """Decide on starts that somebody asked for, whatever else runs."""
    for found in wanted:
        if not is_known(state, found.id):
            state = replace(state, pending=(*state.pending, _current(state, found)))
    return state


def is_known(state: ScheduleState, execution: str) -> bool:
    """Tell whether a start is decided, or was a short while ago."""
    queued = state.queued is not None and state.queued.id == execution
    return (
        queued
        or any(pending.id == execution for pending in state.pending)
        or any(note.id == execution and note.outcome in DONE for note in state.notes)
    )


# --- what became of them ------------------------------------------------------------------------


def settled(
    state: ScheduleState,
    plan: Plan,
    execution: str,
    outcome: Outcome,
    detail: str,
    now: int,
    part_of: str = "",
) -> ScheduleState:
    """Note that a start was acknowledged (``started``, ``exists``) or ``refused``.

    ``part_of``: the execution that it became part of, whose end is then what counts.
    """
    found = next((pending for pending in state.pending if pending.id == execution), None)
    if found is None:
        return state
    refused = outcome == "refused"
    state = replace(
        state,
        pending=tuple(pending for pending in state.pending if pending.id != execution),
        notes=noted(state, replace(_note(found, outcome, now, detail), part_of=part_of)),
        counts=_counted(state.counts, refused=refused, started=outcome == "started"),
        problem=Problem(at=now, message=detail) if refused else state.problem,
    )
    if refused:
        state = ended(state, plan, execution, now)
        again = found.cause == "after" and state.due is not None
        return replace(state, due=max(state.due or 0, now + RETRY)) if again else state
    if part_of:
        return _joined(state, plan, execution, part_of)
    if plan.watches or execution in state.cancels:
        return replace(state, running=(*state.running, execution))
    return state


def _joined(state: ScheduleState, plan: Plan, start: str, execution: str) -> ScheduleState:
    """Wait for the end of the execution that a start became part of.

    The next fire may join it too, so none cancels it: that would take the fire with it.
    """
    chain = execution if state.chain == start else state.chain
    state = replace(state, chain=chain, cancels=tuple(x for x in state.cancels if x != start))
    if not plan.watches or plan.policies.overlap == "cancel" or execution in state.running:
        return state
    return replace(state, running=(*state.running, execution))


def ended(state: ScheduleState, plan: Plan, execution: str, at: int) -> ScheduleState:
    """Note that an execution is over: the next may come."""
    changes: dict[str, Any] = {}
    if execution in state.running:
        changes["running"] = tuple(one for one in state.running if one != execution)
    if execution in state.cancels:
        changes["cancels"] = tuple(one for one in state.cancels if one != execution)
    if state.chain == execution:
        changes |= {"chain": "", "due": plan.after.after(at) if plan.after else None}
    return _promoted(replace(state, **changes), plan) if changes else _promoted(state, plan)


def _promoted(state: ScheduleState, plan: Plan) -> ScheduleState:
    """Start what waited for the others to end."""
    waits = plan.policies.overlap == "queue" and bool(state.running or state.pending)
    if state.queued is None or waits:
        return state
    found = _current(state, state.queued)
    return replace(state, pending=(*state.pending, found), queued=None)


def watched(state: ScheduleState) -> tuple[str, ...]:
    """Return the executions whose end has to be heard of."""
    unborn = {pending.id for pending in state.pending}
    wanted = (*state.running, *((state.chain,) if state.chain else ()))
    return tuple(one for one in dict.fromkeys(wanted) if one not in unborn)


def cancellable(state: ScheduleState) -> tuple[str, ...]:
    """Return the executions to cancel that have been started."""
    unborn = {pending.id for pending in state.pending}
    return tuple(one for one in state.cancels if one not in unborn)


def stumbled(state: ScheduleState, message: str, now: int) -> ScheduleState:
    """Note that something went wrong."""
    if state.problem is not None and state.problem.message == message:
        return state
    return replace(state, problem=Problem(at=now, message=message))


def _current(state: ScheduleState, found: Pending) -> Pending:
    return replace(found, version=state.version, digest=state.digest)


def _note(found: Pending, outcome: Outcome, now: int, detail: str = "") -> Note:
    return Note(
        at=found.at, cause=found.cause, outcome=outcome, noted_at=now, id=found.id, detail=detail
    )


def _counted(counts: Counts, **more: int) -> Counts:
    tally: _Tally = {name: getattr(counts, name) + int(by) for name, by in more.items()}
    return replace(counts, **tally)
