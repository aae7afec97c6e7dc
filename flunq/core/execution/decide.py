"""What happens next: a command and a state give events and effects.

Every change of the state goes through an event (see ``fold``). A call does a bounded number of
transitions; what is left stays in ``state.ready``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core.events import CloudEvent
from flunq.core.execution import faults
from flunq.core.execution.collecting import begin_collecting, gather, join
from flunq.core.execution.commands import (
    Cancel,
    Command,
    Continue,
    Delete,
    Deliver,
    Failure,
    Fire,
    Join,
    Migrate,
    Report,
    Restore,
    Resume,
    Start,
    Suspend,
)
from flunq.core.execution.effects import Effect
from flunq.core.execution.faults import TaskError
from flunq.core.execution.fold import (
    NOTED,
    PREPARED,
    RECEIVED,
    REPORTED,
    STOPPING,
    TIMER_FIRED,
)
from flunq.core.execution.gathering import TIMER as COLLECTED
from flunq.core.execution.reducing import input_source
from flunq.core.execution.returning import Refused, migrate, restore
from flunq.core.execution.state import (
    ROOT,
    Begin,
    Consider,
    Enter,
    Expire,
    Fail,
    Ready,
    Return,
    Settle,
    Spread,
    State,
    Stop,
    Wake,
    settle_status,
)
from flunq.core.execution.suspending import begin_paused, tell_tasks
from flunq.core.execution.tasks import HANDLERS
from flunq.core.execution.tasks.extension import EXTENSION, is_entered
from flunq.core.execution.tasks.listen import LISTEN, is_known
from flunq.core.execution.turn import Environment, Turn
from flunq.core.execution.variables import BEFORE, UNSET, Step
from flunq.core.expressions import Answers, Need, NeedsEvaluation
from flunq.core.ids import split_timer
from flunq.core.markers import Grant
from flunq.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TRANSITIONS = 256
"""Transitions that one call does at most."""
MAX_BYTES = 256 * 1024
"""A call stops after the transition that passes this many bytes of events."""
MAX_BLOCKED = 8
"""Entries of ``ready`` that may wait for answers before a call stops looking for others."""

__all__ = ["MAX_BYTES", "MAX_TRANSITIONS", "Decision", "Environment", "decide"]


class Decision(msgspec.Struct, kw_only=True):
    """What a command leads to; nothing of it has happened before the events are stored."""

    events: list[CloudEvent] = []
    effects: list[Effect] = []
    need: Need | None = None
    """An evaluation to do; then send ``Continue`` with the answer."""
    more: bool = False
    """The budget is used up: send ``Continue``."""
    rejection: Failure | None = None
    """Why a command could not be followed; a start that is refused leaves no execution."""


def decide(
    state: State | None, command: Command, now: int, env: Environment, answers: Answers
) -> tuple[State, Decision]:
    """Apply a command at ``now`` (microseconds since the epoch).

    The state is changed in place and returned. Commands that come too late or twice give an
    empty decision. Raises NotFoundError for a command to an execution that was never started.
    """
    fresh = state is None
    if state is None:
        state = _blank(command, env)
    decision = Decision()
    if state.is_terminal and type(command) is not Restore:
        decision.rejection = _too_late(state, command)
        return state, decision
    turn = Turn(state, env, now, answers)
    if type(command) is not Start:
        try:
            _COMMANDS[type(command)](turn, command)
        except Refused as refused:
            decision.rejection = refused.failure
            return state, decision
    elif fresh:
        try:
            turn.size += turn.size_of(command.input)
        except TaskError as error:
            decision.rejection = error.failure
            return state, decision
        _start(turn, command)
    _run(turn, decision)
    settle_status(state)
    decision.events = turn.events
    decision.effects = turn.effects
    return state, decision


def _blank(command: Command, env: Environment) -> State:
    if isinstance(command, Start):
        return State(id=command.id, workflow=env.workflow.ref, traceparent=command.traceparent)
    if isinstance(command, Restore) and command.kind == "forked":
        return State(id=command.id, workflow=env.workflow.ref)
    raise NotFoundError(f"there is no execution {command.id!r}")


def _too_late(state: State, command: Command) -> Failure | None:
    wanted = _WANTED.get(type(command))
    if wanted is None or wanted == state.status:
        return None
    failure = faults.standard("runtime", f"the execution is {state.status} already")
    return msgspec.structs.replace(failure, status=409, title="The execution has ended")


_WANTED: dict[type[Any], str] = {
    Cancel: "cancelled",
    Suspend: "suspended",
    Resume: "running",
    Migrate: "migrated",
}
"""What people want of an execution; what the engine itself sends may come too late."""


# --- commands ---------------------------------------------------------------------------------


def _start(turn: Turn, command: Start) -> None:
    state, workflow = turn.state, turn.env.workflow
    state.input = command.input  # for the expressions below; the event says the same
    data: dict[str, Any] = {
        "name": turn.name,
        "definition": {
            "namespace": workflow.namespace,
            "name": workflow.name,
            "version": workflow.version,
        },
        "startedAt": turn.time,
        "digest": workflow.digest,
        "input": command.input,
    }
    tags = {**workflow.tags, **command.tags}
    if tags:
        state.tags = data["tags"] = tags
    if workflow.uses_secrets and command.nonce:
        data["secrets"] = {"nonce": command.nonce, "names": list(workflow.secrets)}
        state.secrets = Grant(nonce=command.nonce, names=workflow.secrets)
    data |= _said_of(command)
    if command.group and workflow.collecting is not None and not workflow.problem:
        begin_collecting(turn, data, command)
        return
    if command.pause and not workflow.problem:
        begin_paused(turn, data, command)
        return
    failure = _prepare_start(turn, data)
    turn.emit(types.WORKFLOW_STARTED, data)
    if failure is not None:
        turn.end_faulted(failure, "/input")
    elif "timeout" in data:
        turn.arm("0t")


def _said_of(command: Start) -> dict[str, Any]:
    """Return what the event says of who started it, and how."""
    said: dict[str, Any] = {
        "parent": command.parent,
        "parentTask": command.parent_task or None,
        "request": command.request or None,
        "priority": command.priority,
    }
    if command.forked_from:
        said["forked"] = {"from": command.forked_from, "at": 0}
    return {name: value for name, value in said.items() if value is not None}


def _prepare_start(turn: Turn, data: dict[str, Any]) -> Failure | None:
    try:
        workflow = turn.env.workflow
        if workflow.problem:
            instance, detail = workflow.problem
            return faults.at(faults.standard("configuration", detail), instance)
        if workflow.timeout is not None:
            data["timeout"] = turn.duration(workflow.timeout, None).after(turn.now)
        _prepare(turn, data)
    except NeedsEvaluation:
        data["unprepared"] = True
    except TaskError as error:
        return error.failure
    return None


def _prepare(turn: Turn, data: dict[str, Any]) -> None:
    """Add the transformed input and the first task to an event."""
    workflow = turn.env.workflow
    transformed = turn.workflow_input(workflow.input)
    if transformed is not UNSET:
        data["transformed"] = transformed
        turn.size += turn.size_of(transformed)
    if workflow.first:
        data["next"] = workflow.first


def _report(turn: Turn, command: Report) -> None:
    state = turn.state
    open_task = state.tasks.get(command.task)
    if open_task is None:
        return
    number = open_task.step
    failure = command.failure
    if failure is not None:
        failure = faults.at(failure, open_task.reference)
    turn.reported = command.task
    if not state.suspended and not _is_ending(state):
        try:
            _settle(turn, Settle(number, command.output, failure))
            return
        except NeedsEvaluation:
            pass  # recorded below, so that the outcome is not lost while the answer is sought
    members: dict[str, Any] = {"taskId": command.task}
    try:
        turn.size += turn.size_of(command.output)
    except TaskError as error:
        failure = faults.at(error.failure, open_task.reference)
    if failure is None:
        members["output"] = command.output
    else:
        members["error"] = faults.to_data(failure)
    turn.emit_task(REPORTED, "reportedAt", open_task.reference, number, members)


def _is_ending(state: State) -> bool:
    """Tell whether something is about to be interrupted, which outcomes must not overtake."""
    return bool(state.ready) and type(state.ready[0]) in (Stop, Expire, Fail)


_PURPOSES = {"w": "wait", "r": "retry", "t": "timeout", "a": "attempt"}


def _fire(turn: Turn, command: Fire) -> None:
    timer = command.timer
    if timer not in turn.state.timers:
        return
    if timer == COLLECTED:
        gather(turn)
        return
    number, letter = split_timer(timer)
    reference = turn.state.frames[number].reference
    data: dict[str, Any] = {
        "name": turn.name,
        "task": reference,
        "step": number,
        "timer": timer,
        "purpose": _PURPOSES[letter],
        "firedAt": turn.time,
    }
    turn.emit(TIMER_FIRED, data)


def _cancel(turn: Turn, command: Cancel) -> None:
    ready = turn.state.ready
    if ready and type(ready[0]) is Stop:
        return
    data = {"name": turn.name, "status": "cancelled", "reason": command.reason}
    turn.emit(STOPPING, data)


def _suspend(turn: Turn, command: Suspend) -> None:
    state = turn.state
    # What the pause of its workflow has suspended, others may suspend for reasons of their own.
    held = bool(state.pause) and state.pause != command.pause
    if _is_settled(turn, command, state.suspended and not held):
        return
    data = {"name": turn.name, "suspendedAt": turn.time}
    for member in ("reason", "request", "pause"):
        if getattr(command, member):
            data[member] = getattr(command, member)
    turn.emit(types.WORKFLOW_SUSPENDED, data)
    if not held:
        tell_tasks(turn, types.TASK_SUSPENDED, "suspendedAt")


def _resume(turn: Turn, command: Resume) -> None:
    state = turn.state
    if command.pause and command.pause != state.pause:
        return  # somebody else has suspended it, or resumed it, meanwhile
    if state.collecting is not None and not state.suspended:
        if command.request not in state.requests:
            gather(turn, command.request)
        return
    if _is_settled(turn, command, not state.suspended):
        return
    data = {"name": turn.name, "resumedAt": turn.time}
    for member in ("request", "despite"):
        if getattr(command, member):
            data[member] = getattr(command, member)
    turn.emit(types.WORKFLOW_RESUMED, data)
    tell_tasks(turn, types.TASK_RESUMED, "resumedAt")


def _is_settled(turn: Turn, command: Suspend | Resume, already: bool) -> bool:
    """Tell whether a command is a copy, or asks for what is so already.

    One that changes nothing is recorded too: a late copy of it must not change anything either.
    """
    request = command.request
    if request and request in turn.state.requests:
        return True
    if already and request:
        turn.emit(NOTED, {"name": turn.name, "notedAt": turn.time, "request": request})
    return already


def _continue(turn: Turn, command: Continue | Delete) -> None:
    """Nothing but the transitions that are ready; only owners delete, and only what has ended."""


def _deliver(turn: Turn, command: Deliver) -> None:
    number = turn.state.listeners.get(command.listener)
    if number is None:
        return
    frame = turn.state.frames[number]
    if is_known(turn.state, number, command.event):
        return
    try:
        if LISTEN.considered(turn, number, frame, command.event):
            return
    except NeedsEvaluation:
        pass  # recorded below, so that the event is not lost while the answer is sought
    members = {"event": command.event}
    turn.size += turn.size_of(command.event)
    turn.emit_task(RECEIVED, "receivedAt", frame.reference, number, members)


_COMMANDS: dict[type[Any], Callable[[Turn, Any], None]] = {
    Report: _report,
    Join: join,
    Fire: _fire,
    Cancel: _cancel,
    Suspend: _suspend,
    Resume: _resume,
    Restore: restore,
    Migrate: migrate,
    Continue: _continue,
    Delete: _continue,
    Deliver: _deliver,
}


# --- transitions ------------------------------------------------------------------------------


def _run(turn: Turn, decision: Decision) -> None:
    """Do what is ready until nothing is, the budget is used up, or answers are needed."""
    state = turn.state
    blocked: list[Ready] = []
    transitions = 0
    while state.has_work:
        item = _first_free(state.ready, blocked)
        if item is None:
            return
        if transitions >= MAX_TRANSITIONS or turn.size >= MAX_BYTES:
            decision.more = True
            return
        transitions += 1
        turn.item = item
        try:
            _TRANSITIONS[type(item)](turn, item)
        except NeedsEvaluation as request:
            if decision.need is None:
                decision.need = request.need
            blocked.append(item)
            if len(blocked) >= MAX_BLOCKED or type(item) is Stop:
                return
        finally:
            turn.item = None


def _first_free(ready: list[Ready], blocked: list[Ready]) -> Ready | None:
    if not blocked:
        return ready[0]
    for item in ready:
        if not any(item is waiting for waiting in blocked):
            return item
    return None


def _begin(turn: Turn, item: Begin) -> None:
    data: dict[str, Any] = {"name": turn.name}
    try:
        timeout = turn.env.workflow.timeout
        if timeout is not None and "0t" not in turn.state.timers:
            data["timeout"] = turn.duration(timeout, None).after(turn.now)
        _prepare(turn, data)
    except TaskError as error:
        turn.end_faulted(error.failure, "/input")
        return
    turn.take_off(data)
    turn.emit(PREPARED, data)
    if "timeout" in data:
        turn.arm("0t")


def _enter(turn: Turn, item: Enter) -> None:
    task = turn.task(item.reference)
    _enter_task(turn, Step(task, item.step, item.input, item.source, item.at))


def _spread(turn: Turn, item: Spread) -> None:
    fork = turn.state.frames[item.step]
    reference = turn.task(fork.reference).spec.branches[item.index]
    source = input_source(item.step, fork)
    step = Step(turn.task(reference), item.step, fork.effective_input, source, item.at)
    _enter_task(turn, step)


def _enter_task(turn: Turn, step: Step) -> None:
    try:
        condition = None if is_entered(turn, step) else step.task.condition
        if condition is not None and not turn.holds(condition, step.raw, step, BEFORE):
            turn.skip(step)
            return
        if step.task.extensions and EXTENSION.interpose(turn, step):
            return
        turn.prepare(step)
        HANDLERS[step.task.handler].enter(turn, step)
    except TaskError as error:
        step.timeout = None
        turn.fault(turn.start(step), error.failure)


def _return(turn: Turn, item: Return) -> None:
    if item.step == ROOT:
        turn.end_completed(item.output)
        return
    frame = turn.state.frames[item.step]
    handler = HANDLERS[turn.task(frame.reference).handler]
    try:
        handler.returned(turn, item.step, frame, item)
    except TaskError as error:
        turn.fault(item.step, error.failure)


def _fail(turn: Turn, item: Fail) -> None:
    if item.step == ROOT:
        turn.end_faulted(item.failure)
        return
    frame = turn.state.frames[item.step]
    HANDLERS[turn.task(frame.reference).handler].failed(turn, item.step, frame, item.failure)


def _settle(turn: Turn, item: Settle) -> None:
    frame = turn.state.frames[item.step]
    try:
        HANDLERS[turn.task(frame.reference).handler].settled(turn, item.step, frame, item)
    except TaskError as error:
        turn.fault(item.step, error.failure)


def _consider(turn: Turn, item: Consider) -> None:
    LISTEN.considered(turn, item.step, turn.state.frames[item.step], item.event)


def _wake(turn: Turn, item: Wake) -> None:
    frame = turn.state.frames[item.step]
    try:
        HANDLERS[turn.task(frame.reference).handler].woken(turn, item.step, frame)
    except TaskError as error:
        turn.fault(item.step, error.failure)


def _expire(turn: Turn, item: Expire) -> None:
    if not turn.interrupt(item.step):
        return
    if item.step == ROOT:
        turn.end_faulted(faults.standard("timeout", "the workflow ran out of time"), "/timeout")
        return
    frame = turn.state.frames[item.step]
    what = "one try of the task" if item.attempt else "the task"
    failure = faults.at(faults.standard("timeout", f"{what} ran out of time"), frame.reference)
    if item.attempt:
        handler = HANDLERS[turn.task(frame.reference).handler]
        handler.attempt_expired(turn, item.step, frame, failure)
    else:
        turn.fault(item.step, failure)


def _stop(turn: Turn, item: Stop) -> None:
    above = _frames_above(turn.state, item.origin)
    if not turn.interrupt(ROOT, keep=frozenset(above)):
        return
    if item.status == "cancelled":
        reason = {"reason": item.reason} if item.reason else {}
        turn.end(types.WORKFLOW_CANCELLED, "cancelledAt", reason)
        return
    turn.end_completed(item.output, unwind=above)


def _frames_above(state: State, step: int) -> list[int]:
    """Return a frame and those around it, the innermost first, without the root."""
    above: list[int] = []
    while step != ROOT:
        above.append(step)
        step = state.frames[step].parent
    return above


_TRANSITIONS: dict[type[Any], Callable[[Turn, Any], None]] = {
    Begin: _begin,
    Enter: _enter,
    Spread: _spread,
    Return: _return,
    Fail: _fail,
    Settle: _settle,
    Consider: _consider,
    Wake: _wake,
    Expire: _expire,
    Stop: _stop,
}
