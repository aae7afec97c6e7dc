"""Retry, rewind, fork, migrate: an execution goes on from another state, or by other rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core.execution import faults, restoring
from flunq.core.execution.faults import TaskError
from flunq.core.execution.fold import CARRIED, FORKED, MIGRATED, RETRIED, REWOUND
from flunq.core.execution.restoring import EDITED, RestoreError
from flunq.core.execution.state import ROOT, State, settle_status
from flunq.core.execution.turn import INLINE_INPUT
from flunq.core.execution.variables import UNSET

if TYPE_CHECKING:
    from flunq.core.document.model import Workflow
    from flunq.core.execution.commands import Failure, Migrate, Restore
    from flunq.core.execution.turn import Turn

MAX_OPEN = 256
"""Tasks that may be open when an execution is rewound, forked or told which are open again."""
_TYPES = {
    "retried": (RETRIED, "retriedAt"),
    "rewound": (REWOUND, "rewoundAt"),
    "forked": (FORKED, "forkedAt"),
}


class Refused(Exception):  # noqa: N818 - no error: somebody hears it as an answer
    """A command that cannot be followed; nothing has been recorded."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        failure = faults.standard("runtime", detail)
        self.failure: Failure = msgspec.structs.replace(failure, status=status, title=title)


def restore(turn: Turn, command: Restore) -> None:
    """Go on from a state of the past; raises Refused."""
    state = turn.state
    if command.request and command.request in state.requests:
        return
    past = _checked(turn, command)
    if command.kind == "forked":
        _fork(turn, command, past)
        return
    past.suspended = command.kind == "rewound" and state.suspended
    past.pause, past.despite = state.pause if past.suspended else "", state.despite
    past.workflow = command.workflow
    # A parent that has heard of the end is not told again.
    past.parent_task = state.parent_task
    attempt = command.attempt
    restoring.renew(past, now=turn.now, at=command.at, attempt=attempt, redo=command.redo)
    task = _edit(past, command)
    while not turn.interrupt(ROOT):
        pass
    if ROOT in state.frames:
        turn.release(ROOT)
    seq = state.seq + 1
    restoring.renumber(past, {step: step for step in past.frames}, {EDITED: seq})
    past.reason = command.reason if past.suspended else ""
    _go_on(turn, command, past, {"attempt": attempt}, task)
    _tell_open(turn)


def migrate(turn: Turn, command: Migrate) -> None:
    """Go on with another version of the definition; raises Refused."""
    state, workflow = turn.state, turn.env.workflow
    if command.request and command.request in state.requests:
        return
    _require_fit(state, workflow)
    if command.dry_run or workflow.ref == state.workflow:
        return
    turn.workflow_text = str(workflow.ref)
    data: dict[str, Any] = {
        "name": turn.name,
        "migratedAt": turn.time,
        "definition": _definition(workflow),
        "digest": workflow.digest,
        "before": str(state.workflow),
    }
    if command.request:
        data["request"] = command.request
    turn.emit(MIGRATED, data)


def _checked(turn: Turn, command: Restore) -> State:
    """Return the state to go on from."""
    state = turn.state
    if command.kind != "forked" and not (state.is_terminal or state.suspended):
        detail = f"the execution is {state.status}: suspend it first, with flunq suspend {state.id}"
        raise Refused(409, "The execution is under way", detail)
    if state.seq != command.seq:
        raise Refused(409, "The execution went on", "it went on meanwhile; try again")
    if len(state.frames) > MAX_OPEN:
        detail = f"more than {MAX_OPEN} tasks are open; cancel the execution, then go back"
        raise Refused(409, "Too much is open", detail)
    try:
        turn.size_of([command.state, None if command.input is UNSET else command.input])
    except TaskError as error:
        raise Refused(413, "Too large", str(error)) from None
    try:
        past = restoring.from_value(command.state)
    except RestoreError as error:
        raise Refused(400, "No state", str(error)) from None
    _require_fit(past, turn.env.workflow)
    return past


def _require_fit(state: State, workflow: Workflow) -> None:
    strangers = restoring.strangers(state, workflow)
    if strangers:
        detail = f"{workflow.ref} does not have what is open: {'; '.join(strangers)}"
        raise Refused(422, "The definition does not fit", detail)


def _edit(past: State, command: Restore) -> str:
    if command.input is UNSET:
        return command.task
    try:
        return restoring.edit_input(past, command.task, command.input)
    except RestoreError as error:
        raise Refused(422, "The input cannot be edited", str(error)) from None


def _definition(workflow: Workflow) -> dict[str, str]:
    ref = workflow.ref
    return {"namespace": ref.namespace, "name": ref.name, "version": ref.version}


def _go_on(turn: Turn, command: Restore, past: State, more: dict[str, Any], task: str) -> None:
    """Record the new state, and ask for what it waits for."""
    kind, when = _TYPES[command.kind]
    data: dict[str, Any] = {"name": turn.name, when: turn.time, "point": command.point, **more}
    if task:
        data["task"] = task
    if past.suspended:
        data["suspended"] = True
    for member in ("reason", "request", "input"):
        value = getattr(command, member)
        if value not in ("", UNSET):
            data[member] = value
    data["state"] = restoring.to_value(past)
    turn.size += turn.size_of(data["state"])
    turn.workflow_text = str(past.workflow)
    turn.emit(kind, data)
    settle_status(turn.state)
    for timer in turn.state.timers:
        turn.arm(timer)


def _tell_open(turn: Turn) -> None:
    """Record that tasks which had ended are open again, as far as that fits one decision."""
    frames = turn.state.frames
    for step in [step for step in frames if step != ROOT][:MAX_OPEN]:
        reference = frames[step].reference
        turn.emit_task(types.TASK_RESUMED, "resumedAt", reference, step, {"restored": True})


# --- another execution --------------------------------------------------------------------------


def _fork(turn: Turn, command: Restore, past: State) -> None:
    """Begin another execution in the midst of a definition.

    Its history tells what it needs to be read by itself: the input, the values that its tasks
    begin with, and the tasks that are open.
    """
    if len(past.frames) > MAX_OPEN:
        detail = f"more than {MAX_OPEN} tasks are open there; fork at another point"
        raise Refused(409, "Too much is open", detail)
    past.id, past.workflow = command.id, command.workflow
    past.suspended, past.requests, past.request = False, [], command.request
    past.pause = past.despite = ""
    past.parent, past.parent_task, past.traceparent = None, "", None
    past.started_at = past.frames[ROOT].started_at = turn.now
    restoring.renew(past, now=turn.now, at=command.at, redo=command.redo)
    task = _edit(past, command)
    origin = {"from": command.origin, "at": command.point}
    _begin_fork(turn, command, past, origin)
    carried = _carry(turn, past)
    steps = _open_again(turn, past)
    restoring.renumber(past, steps, carried)
    _go_on(turn, command, past, {"origin": command.origin}, task)


def _begin_fork(turn: Turn, command: Restore, past: State, origin: dict[str, Any]) -> None:
    data: dict[str, Any] = {
        "name": turn.name,
        "definition": _definition(turn.env.workflow),
        "startedAt": turn.time,
        "digest": turn.env.workflow.digest,
        "input": past.input,
        "unprepared": True,
        "forked": origin,
    }
    if past.tags:
        data["tags"] = past.tags
    if past.priority is not None:
        data["priority"] = past.priority
    if past.secrets is not None:
        data["secrets"] = msgspec.to_builtins(past.secrets)
    if command.request:
        data["request"] = command.request
    turn.emit(types.WORKFLOW_STARTED, data)


def _carry(turn: Turn, past: State) -> dict[int, int]:
    """Record the large inputs; return which event has each, by the event that had it."""
    events: dict[int, int] = {}
    for source, value in restoring.sources(past):
        if source not in events and turn.size_of(value) > INLINE_INPUT:
            turn.size += turn.size_of(value)
            events[source] = turn.emit(CARRIED, {"name": turn.name, "value": value})
    return events


def _open_again(turn: Turn, past: State) -> dict[int, int]:
    """Record the open tasks; return their new numbers."""
    steps = {ROOT: ROOT}
    for step in sorted(past.frames):
        if step == ROOT:
            continue
        frame = past.frames[step]
        head = {"workflow": turn.name, "task": frame.reference}
        number = turn.emit(types.TASK_CREATED, {**head, "createdAt": turn.time})
        data = {**head, "startedAt": turn.time, "step": number, "kind": frame.kind}
        data |= {"restored": True, "input": frame.input}
        if frame.parent != ROOT:
            data["parent"] = steps[frame.parent]
        if frame.path:
            data["path"] = frame.path
        if frame.attempt != 1:
            data["attempt"] = frame.attempt
        if frame.transformed is not UNSET:
            data["transformed"] = frame.transformed
        turn.emit(types.TASK_STARTED, data)
        steps[step] = number
    return steps
