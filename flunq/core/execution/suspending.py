"""Suspensions, also those that errors bring about, and the workflows that are told of moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core import events as types
from flunq.core import ids
from flunq.core.execution import faults
from flunq.core.execution.commands import Start
from flunq.core.execution.effects import Tell
from flunq.core.execution.faults import TaskError
from flunq.core.execution.state import ROOT

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn

MAX_TOLD = 256
"""Tasks whose suspension is recorded one by one; what runs beyond them is suspended silently."""
HOOK_TAG = "hook-of"
"""Tag of an execution that a hook has started: it starts none itself."""


def tell_tasks(turn: Turn, type: str, when: str) -> None:
    """Record what happens to the running tasks, as far as that fits one decision."""
    steps = [step for step in turn.state.frames if step != ROOT]
    for step in steps[:MAX_TOLD]:
        turn.emit_task(type, when, turn.state.frames[step].reference, step)


def begin_paused(turn: Turn, data: dict[str, Any], start: Start) -> None:
    """Record a start whose workflow is paused: nothing of it happens before that is over.

    ``data`` is that of the event, without what preparing the input adds to it.
    """
    turn.emit(types.WORKFLOW_STARTED, {**data, "unprepared": True})
    hold(turn, start)


def hold(turn: Turn, start: Start) -> None:
    """Suspend an execution that was just started, for its workflow is paused."""
    held = {"name": turn.name, "suspendedAt": turn.time, "pause": start.pause}
    if start.reason:
        held["reason"] = start.reason
    turn.emit(types.WORKFLOW_SUSPENDED, held)


def pause_after_errors(turn: Turn) -> None:
    """Suspend the execution if as many attempts have failed as its workflow bears."""
    pause, state = turn.env.workflow.pause, turn.state
    if pause is None or pause.scope != "execution" or state.suspended:
        return
    since = 0 if pause.within is None else turn.now - pause.within
    count = sum(at >= since for at in state.failed)
    if count < pause.after:
        return
    data = {"name": turn.name, "suspendedAt": turn.time, "reason": pause.reason(count)}
    number = turn.emit(types.WORKFLOW_SUSPENDED, data)
    tell_tasks(turn, types.TASK_SUSPENDED, "suspendedAt")
    call_hook(turn, "paused", number)


def call_hook(turn: Turn, moment: str, number: int) -> None:
    """Start the workflow that wants to know; ``number`` is that of the moment's event."""
    state = turn.state
    workflow = turn.env.workflow.hooks.get(moment)
    if workflow is None or HOOK_TAG in state.tags:
        return
    start = Start(
        id=ids.task_id(state.id, f"hook:{moment}", str(number), 1),
        workflow=workflow,
        input=_told(turn, moment),
        tags={HOOK_TAG: state.id},
        traceparent=state.traceparent,
    )
    turn.effects.append(Tell(execution=state.id, command=start))


def _told(turn: Turn, moment: str) -> dict[str, Any]:
    state = turn.state
    told: dict[str, Any] = {
        "execution": state.id,
        "workflow": str(state.workflow),
        "status": moment,
    }
    if state.reason:
        told["reason"] = state.reason
    if state.failure is not None:
        told["error"] = faults.to_data(state.failure)
    if moment == "completed":
        try:
            turn.refuse_secrets(state.output, "the input of another workflow")
            told["output"] = state.output
        except TaskError:
            pass  # what holds secrets stays where it is
    return told
