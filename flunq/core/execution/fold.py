"""Events to state: the only code that changes a state.

``decide`` makes an event and applies it through the same reducers that a replay uses, so the live
state is the fold of its events by construction. A replay needs no definition and evaluates
nothing: the events carry what follows from them.

Members of ``data``. The DSL's own come first (``workflow`` qualified instance name, ``task``
pointer, ``createdAt`` ...). The engine adds the following, each left out when it says nothing:

======================  ==========================================================================
every task event        ``step`` number of the task instance: the sequence of its ``created``;
                        ``turn`` which entry of ``ready`` this event takes off
``task.started``        ``kind``, ``parent`` step, ``path``, ``attempt``; raw ``input``, or
                        ``inputFrom``: sequence of the event that has it as ``output``,
                        ``transformed``, ``with`` or ``input``; ``transformed`` input;
                        ``timeout`` due time; ``next`` first subtask. By kind: ``dispatch``
                        {id, kind, key, arguments, deadline}; ``due`` (wait); ``items`` (for);
                        ``branches``, ``compete`` (fork); ``with`` (input of a called function);
                        ``attemptDue`` (try); ``listener`` (listen)
``task.completed``      ``output``; ``context`` if exported; ``next`` task, ``back`` if it was
                        passed before, ``end`` if the workflow ends; ``unwound`` if an inner
                        task ended it
``task.faulted``        ``error``
``task.retried``        ``error``, ``attempt`` to come, ``due``, ``attemptDue``
``workflow.started``    ``digest``, ``input``, ``transformed``, ``tags``, ``parent``,
                        ``timeout``, ``next``; ``unprepared`` while the input's
                        transformation waits for an answer
``workflow.*``          ``output``, ``error``, ``reason``
``io.flunq.*``          ``execution.prepared`` (``transformed``, ``next``),
                        ``execution.stopping`` (``status``, ``reason``), ``timer.fired``
                        (``timer``, ``purpose``), ``task.skipped`` (as ``completed``),
                        ``task.reported`` (``output`` or ``error``, kept for later),
                        ``task.iterated`` (``index``, ``next``), ``task.caught`` (``error``,
                        ``next``), ``listen.registered`` (``listener``), ``event.received``
                        (``event``, kept for later), ``event.dismissed``, ``event.consumed``
                        (``value``, ``key``, ``filter``, ``expected``, ``done``)
======================  ==========================================================================

Times in engine members are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from flunq.core import events as types
from flunq.core.execution import faults
from flunq.core.execution.commands import WorkflowRef
from flunq.core.execution.state import (
    ROOT,
    Begin,
    Consider,
    Enter,
    Expire,
    Fail,
    Forking,
    Frame,
    Listening,
    Looping,
    OpenTask,
    Ready,
    Return,
    Settle,
    Spread,
    State,
    Stop,
    Trying,
    Wake,
    settle_status,
)

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent

PREPARED = types.ENGINE + "execution.prepared"
STOPPING = types.ENGINE + "execution.stopping"
TIMER_FIRED = types.ENGINE + "timer.fired"
SKIPPED = types.ENGINE + "task.skipped"
REPORTED = types.ENGINE + "task.reported"
ITERATED = types.ENGINE + "task.iterated"
CAUGHT = types.ENGINE + "task.caught"
REGISTERED = types.ENGINE + "listen.registered"
RECEIVED = types.ENGINE + "event.received"
CONSUMED = types.ENGINE + "event.consumed"
DISMISSED = types.ENGINE + "event.dismissed"

Data: TypeAlias = dict[str, Any]
Reducer: TypeAlias = Callable[[State, int, int, Data], None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class FoldError(Exception):
    """The event cannot follow: unknown type, a gap, or no execution to apply it to."""


def fold(state: State | None, event: CloudEvent) -> State:
    """Return the state after ``event``; events that are part of it already change nothing."""
    if state is None:
        if event.type != types.WORKFLOW_STARTED:
            raise FoldError(f"{event.id}: {event.type} before the start of {event.subject}")
        state = blank(event)
    elif event.seq <= state.seq:
        return state
    if event.seq != state.seq + 1:
        raise FoldError(f"{event.id} does not follow event {state.seq} of {event.subject}")
    reducer = REDUCERS.get(event.type)
    if reducer is None:
        raise FoldError(f"{event.id}: unknown event type {event.type}")
    reducer(state, event.seq, micros(event.time), event.data)
    state.seq = event.seq
    settle_status(state)
    return state


@lru_cache(maxsize=64)
def micros(time: str) -> int:
    """Return an RFC 3339 date-time as microseconds since the epoch."""
    return (datetime.fromisoformat(time) - _EPOCH) // _MICROSECOND


def blank(event: CloudEvent) -> State:
    """Return the state before its first event."""
    definition = event.data["definition"]
    reference = WorkflowRef(
        namespace=definition["namespace"],
        name=definition["name"],
        version=definition["version"],
        digest=event.data["digest"],
    )
    trace = None if event.traceparent is msgspec.UNSET else event.traceparent
    return State(id=event.subject, workflow=reference, traceparent=trace)


def input_source(step: int, frame: Frame) -> int:
    """Return the sequence of the event that holds a frame's transformed input."""
    return frame.source if frame.transformed is msgspec.UNSET else step + 1


# --- helpers of the reducers ------------------------------------------------------------------


def _take(state: State, data: Data) -> Ready | None:
    """Take off the entry of ``ready`` that an event has dealt with."""
    turn = data.get("turn")
    if turn is None:
        return None
    item = state.ready[turn]
    if type(item) is Spread and item.index + 1 < item.count:
        item.index += 1
    else:
        del state.ready[turn]
    return item


def _push_front(state: State, item: Ready) -> None:
    """Let ``item`` go first, but never before the end of the execution."""
    state.ready.insert(1 if state.ready and type(state.ready[0]) is Stop else 0, item)


def _purge(state: State, step: int, keep: type[Any] | None = None) -> None:
    """Forget what was still to do for a frame, all or all of other types than ``keep``."""
    if state.ready:
        state.ready = [item for item in state.ready if item.step != step or type(item) is keep]


def _arm(state: State, frame: Frame, timer: str, due: int) -> None:
    state.timers[timer] = due
    frame.timers.append(timer)


def _disarm(state: State, frame: Frame, timer: str) -> None:
    state.timers.pop(timer, None)
    if timer in frame.timers:
        frame.timers.remove(timer)


def _enter_below(state: State, step: int, frame: Frame, reference: str, now: int) -> None:
    source = input_source(step, frame)
    state.ready.append(Enter(step, reference, frame.effective_input, source, now))


def _remove(state: State, step: int) -> Frame:
    """Take a frame out, with all that it had open."""
    frame = state.frames.pop(step)
    for timer in frame.timers:
        state.timers.pop(timer, None)
    if frame.task:
        state.tasks.pop(frame.task, None)
    if frame.kind == "listen":
        state.listeners.pop(f"{step}l", None)
    parent = state.frames[frame.parent]
    parent.highest = max(parent.highest, frame.highest)
    return frame


def _depth(state: State, step: int) -> int:
    depth = 0
    while step != ROOT:
        step = state.frames[step].parent
        depth += 1
    return depth


def _re_enter(state: State, step: int, frame: Frame) -> None:
    """Give the children of a frame a new path: one of them runs a second time."""
    frame.reentries += 1
    base = frame.scope
    if frame.reentries > 1:
        base = base[: base.rindex("~")]
    frame.scope = f"{base}~{_depth(state, step)}x{frame.reentries}"


def _route(
    state: State, parent: int, reference: str, output: Any, event: tuple[int, int, Data]
) -> None:
    """Go on after a task: next in its scope, or back to the frame above."""
    seq, now, data = event
    frame = state.frames[parent]
    following = data.get("next")
    if following is not None:
        if "back" in data:
            _re_enter(state, parent, frame)
        state.ready.append(Enter(parent, following, output, seq, now))
    elif type(frame.local) is Forking:
        _join(state, parent, frame.local, reference, output, seq)
    else:
        state.ready.append(Return(parent, output, seq))


def _join(state: State, step: int, fork: Forking, reference: str, output: Any, source: int) -> None:
    fork.outputs[int(reference.rsplit("/", 2)[1])] = output
    fork.pending -= 1
    if fork.compete:
        if len(fork.outputs) == 1:
            _push_front(state, Return(step, output, source))
    elif fork.pending == 0:
        state.ready.append(Return(step, None, 0))


# --- the workflow -----------------------------------------------------------------------------


def _workflow_started(state: State, seq: int, now: int, data: Data) -> None:
    state.status = "running"
    state.started_at = now
    state.input = data.get("input")
    state.tags = data.get("tags", {})
    state.parent = data.get("parent")
    root = Frame(parent=-1, reference="", kind="workflow", input=state.input, source=seq)
    root.started_at = now
    state.frames[ROOT] = root
    if "unprepared" in data:
        _limit(state, data)
        state.ready.append(Begin())
    else:
        _prepared(state, seq, now, data)


def _limit(state: State, data: Data) -> None:
    if "timeout" in data:
        _arm(state, state.frames[ROOT], "0t", data["timeout"])


def _prepared(state: State, seq: int, now: int, data: Data) -> None:
    _take(state, data)
    _limit(state, data)
    source = seq
    if "transformed" in data:
        state.transformed = data["transformed"]
    elif seq > 1:
        source = 1
    value = state.input if state.transformed is msgspec.UNSET else state.transformed
    if "next" in data:
        state.ready.append(Enter(ROOT, data["next"], value, source, now))
    else:
        state.ready.append(Return(ROOT, value, source))


def _workflow_suspended(state: State, seq: int, now: int, data: Data) -> None:
    state.suspended = True
    state.reason = data.get("reason", "")


def _workflow_resumed(state: State, seq: int, now: int, data: Data) -> None:
    state.suspended = False
    state.reason = ""
    for item in state.ready:
        if type(item) is Enter or type(item) is Spread:
            item.at = now


def _stopping(state: State, seq: int, now: int, data: Data) -> None:
    _push_front(state, Stop(data["status"], reason=data.get("reason", "")))


def _end(state: State, now: int, status: str) -> None:
    state.status = status
    state.ended_at = now
    state.suspended = False
    for collection in (state.frames, state.tasks, state.timers, state.listeners):
        collection.clear()
    state.ready.clear()


def _workflow_completed(state: State, seq: int, now: int, data: Data) -> None:
    state.output = data.get("output")
    _end(state, now, "completed")


def _workflow_faulted(state: State, seq: int, now: int, data: Data) -> None:
    state.failure = faults.from_data(data["error"])
    _end(state, now, "faulted")


def _workflow_cancelled(state: State, seq: int, now: int, data: Data) -> None:
    state.reason = data.get("reason", "")
    _end(state, now, "cancelled")


def _quarantined(state: State, seq: int, now: int, data: Data) -> None:
    error = data.get("error")
    state.failure = faults.from_data(error) if error else None
    state.reason = data.get("reason", "")
    _end(state, now, "quarantined")


def _noted(state: State, seq: int, now: int, data: Data) -> None:
    """Events that only count."""


# --- tasks ------------------------------------------------------------------------------------


def _task_started(state: State, seq: int, now: int, data: Data) -> None:
    item = _take(state, data)
    step: int = data["step"]
    parent_step = item.step if item is not None else ROOT
    parent = state.frames[parent_step]
    frame = Frame(
        parent=parent_step,
        reference=data["task"],
        kind=data["kind"],
        path=parent.scope,
        scope=parent.scope,
        attempt=parent.attempt,
        highest=parent.attempt,
    )
    if type(item) is Enter:
        frame.input, frame.source, frame.started_at = item.input, item.source, item.at
    elif type(item) is Spread:
        frame.input, frame.started_at = parent.effective_input, item.at
        frame.source = input_source(parent_step, parent)
    if "transformed" in data:
        frame.transformed = data["transformed"]
    state.frames[step] = frame
    if "timeout" in data:
        _arm(state, frame, f"{step}t", data["timeout"])
    opener = _OPENERS.get(frame.kind)
    if opener is not None:
        opener(state, step, frame, (seq, now, data))


Opener: TypeAlias = Callable[[State, int, Frame, tuple[int, int, Data]], None]


def _open_sequence(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    if "next" in data:
        _enter_below(state, step, frame, data["next"], now)


def _open_call(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    seq, now, data = event
    dispatch = data.get("dispatch")
    if dispatch is not None:
        frame.task = dispatch["id"]
        state.tasks[frame.task] = OpenTask(
            step=step,
            kind=dispatch["kind"],
            reference=frame.reference,
            path=frame.path,
            attempt=frame.attempt,
            key=dispatch["key"],
            arguments=dispatch.get("arguments"),
            deadline=dispatch.get("deadline"),
        )
    elif "next" in data:
        frame.scope = f"{frame.path}@{frame.reference}"
        state.ready.append(Enter(step, data["next"], data.get("with"), seq, now))


def _open_wait(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    if "due" in event[2]:
        _arm(state, frame, f"{step}w", event[2]["due"])


def _open_loop(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    if "items" not in data:
        return
    frame.local = Looping(items=data["items"])
    if "next" in data:
        frame.local.index = 0
        frame.scope = _iteration(frame, 0)
        _enter_below(state, step, frame, data["next"], now)


def _open_fork(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    count = data.get("branches", 0)
    if count:
        frame.local = Forking(pending=count, compete="compete" in data)
        state.ready.append(Spread(step, 0, count, now))


def _open_try(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    if "next" in data:
        frame.local = Trying(first=data["next"])
        if "attemptDue" in data:
            _arm(state, frame, f"{step}a1", data["attemptDue"])
        _enter_below(state, step, frame, data["next"], now)


def _open_listen(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    data = event[2]
    if "listener" in data:
        frame.local = Listening()
        state.listeners[data["listener"]] = step


_OPENERS: dict[str, Opener] = {
    "listen": _open_listen,
    "do": _open_sequence,
    "call": _open_call,
    "wait": _open_wait,
    "for": _open_loop,
    "fork": _open_fork,
    "try": _open_try,
}


def _iteration(frame: Frame, index: int) -> str:
    return f"{frame.path}.{index}" if frame.path else str(index)


def _task_completed(state: State, seq: int, now: int, data: Data) -> None:
    _take(state, data)
    step: int = data["step"]
    frame = _remove(state, step)
    if frame.overdue or type(frame.local) is Forking:
        _purge(state, step)
    if "context" in data:
        state.context = data["context"]
    if "unwound" in data:
        return
    output = data.get("output")
    if "end" in data:
        _push_front(state, Stop("completed", output, origin=frame.parent))
    else:
        _route(state, frame.parent, frame.reference, output, (seq, now, data))


def _skipped(state: State, seq: int, now: int, data: Data) -> None:
    item = _take(state, data)
    if type(item) is Enter:
        output, source = item.input, item.source
    else:
        assert item is not None
        frame = state.frames[item.step]
        output, source = frame.effective_input, input_source(item.step, frame)
    _route(state, item.step, data["task"], output, (source, now, data))


def _task_faulted(state: State, seq: int, now: int, data: Data) -> None:
    _take(state, data)
    step: int = data["step"]
    frame = _remove(state, step)
    _purge(state, step)
    _push_front(state, Fail(frame.parent, faults.from_data(data["error"])))


def _task_cancelled(state: State, seq: int, now: int, data: Data) -> None:
    step: int = data["step"]
    _remove(state, step)
    _purge(state, step)


def _end_try(state: State, step: int, frame: Frame, tries: int) -> None:
    _disarm(state, frame, f"{step}a{tries}")
    if frame.overdue:
        state.ready = [
            item
            for item in state.ready
            if item.step != step or (type(item) is Expire and not item.attempt)
        ]


def _task_retried(state: State, seq: int, now: int, data: Data) -> None:
    _take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    assert type(frame.local) is Trying
    _end_try(state, step, frame, frame.local.tries)
    frame.local.tries += 1
    frame.attempt = frame.highest = data["attempt"]
    if "attemptDue" in data:
        _arm(state, frame, f"{step}a{frame.local.tries}", data["attemptDue"])
    if "due" in data:
        _arm(state, frame, f"{step}r{frame.local.tries}", data["due"])
    else:
        _enter_below(state, step, frame, frame.local.first, now)


def _caught(state: State, seq: int, now: int, data: Data) -> None:
    _take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    assert type(frame.local) is Trying
    _end_try(state, step, frame, frame.local.tries)
    frame.local.error = faults.from_data(data["error"])
    if "next" in data:
        _enter_below(state, step, frame, data["next"], now)


def _iterated(state: State, seq: int, now: int, data: Data) -> None:
    item = _take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    assert type(item) is Return and type(frame.local) is Looping
    frame.local.index = data["index"]
    frame.reentries = 0
    frame.scope = _iteration(frame, data["index"])
    state.ready.append(Enter(step, data["next"], item.output, item.source, now))


def _reported(state: State, seq: int, now: int, data: Data) -> None:
    step: int = data["step"]
    frame = state.frames[step]
    state.tasks.pop(frame.task, None)
    frame.task = ""
    error = data.get("error")
    failure = faults.from_data(error) if error else None
    state.ready.append(Settle(step, data.get("output"), failure))


def _timer_fired(state: State, seq: int, now: int, data: Data) -> None:
    step: int = data["step"]
    frame = state.frames[step]
    _disarm(state, frame, data["timer"])
    purpose = data["purpose"]
    if purpose == "wait":
        state.ready.append(Wake(step))
    elif purpose == "retry":
        assert type(frame.local) is Trying
        _enter_below(state, step, frame, frame.local.first, now)
    else:
        frame.overdue = True
        _push_front(state, Expire(step, attempt=purpose == "attempt"))


def _received(state: State, seq: int, now: int, data: Data) -> None:
    state.ready.append(Consider(data["step"], data["event"]))


def _consumed(state: State, seq: int, now: int, data: Data) -> None:
    _take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    local = frame.local
    assert type(local) is Listening
    if "value" in data:
        local.consumed.append(data["value"])
        local.filled.append(data["filter"])
    local.seen.append(data["key"])
    local.expected.update(data.get("expected", {}))
    if "done" in data:
        del state.listeners[f"{step}l"]
        _purge(state, step, keep=Expire)
        state.ready.append(Wake(step))


def _dismissed(state: State, seq: int, now: int, data: Data) -> None:
    _take(state, data)


REDUCERS: dict[str, Reducer] = {
    REGISTERED: _noted,
    RECEIVED: _received,
    CONSUMED: _consumed,
    DISMISSED: _dismissed,
    types.WORKFLOW_STARTED: _workflow_started,
    types.WORKFLOW_SUSPENDED: _workflow_suspended,
    types.WORKFLOW_RESUMED: _workflow_resumed,
    types.WORKFLOW_CANCELLED: _workflow_cancelled,
    types.WORKFLOW_FAULTED: _workflow_faulted,
    types.WORKFLOW_COMPLETED: _workflow_completed,
    types.TASK_CREATED: _noted,
    types.TASK_STARTED: _task_started,
    types.TASK_SUSPENDED: _noted,
    types.TASK_RESUMED: _noted,
    types.TASK_RETRIED: _task_retried,
    types.TASK_CANCELLED: _task_cancelled,
    types.TASK_FAULTED: _task_faulted,
    types.TASK_COMPLETED: _task_completed,
    types.QUARANTINED: _quarantined,
    types.DELETED: _noted,
    PREPARED: _prepared,
    STOPPING: _stopping,
    TIMER_FIRED: _timer_fired,
    SKIPPED: _skipped,
    REPORTED: _reported,
    ITERATED: _iterated,
    CAUGHT: _caught,
}
