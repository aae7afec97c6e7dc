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
                        ``transformed``, ``with``, ``value`` or ``input``; ``transformed`` input;
                        ``timeout`` due time; ``next`` first subtask. By kind: ``dispatch``
                        {id, kind, key, arguments, deadline, traffic}, of a subscription
                        ``foreach`` its first task, ``ends``; ``due`` (wait); ``items`` (for);
                        ``branches``, ``compete``, ``graph`` of {task, needs} (fork); ``with``
                        (input of a called function);
                        ``attemptDue`` (try); ``listener`` (listen); ``target``, ``level``,
                        ``main`` if nothing runs before it (extension)
``task.completed``      ``output``; ``context`` if exported; ``next`` task, ``back`` if it was
                        passed before, ``end`` if the workflow ends; ``unwound`` if an inner
                        task ended it; ``flow`` where to go on once the extensions around it
                        are done, ``raw`` output for them; ``leave`` if an extension does
                        without the task, ``hands`` if it may hand its output on
``task.faulted``        ``error``; ``attempts`` of a try whose retries are used up
``task.retried``        ``error``, ``attempt`` to come, ``due``, ``attemptDue``
``workflow.started``    ``digest``, ``input``, ``transformed``, ``tags``, ``parent``,
                        ``parentTask``, ``timeout``, ``next``; ``unprepared`` while the input's
                        transformation waits for an answer; ``secrets`` {nonce, names};
                        ``forked`` {from, at}; ``priority``; ``collects`` while further starts
                        may join {group, kind, start, fingerprint, wait, due, latest, size, bytes}
``workflow.*``          ``output``, ``error``, ``reason``; ``request`` tells late copies of a
                        command from others; of a suspension ``pause`` that of its workflow, of a
                        resumption ``despite`` a pause
``io.flunq.*``          ``request.noted`` (``request`` that changed nothing),
                        ``execution.joined`` (another ``start``, its ``input``, ``bytes``,
                        ``fingerprint``, ``due`` if later), ``execution.gathered`` (``input``,
                        ``count``), ``execution.prepared`` (``transformed``, ``next``),
                        ``execution.stopping`` (``status``, ``reason``), ``timer.fired``
                        (``timer``, ``purpose``), ``task.skipped`` (as ``completed``),
                        ``task.reported`` (``output`` or ``error``, kept for later),
                        ``task.iterated`` (``index``, ``next``), ``task.caught`` (``error``,
                        ``next``), ``task.extended`` (``phase``, ``next``),
                        ``listen.registered`` (``listener``), ``event.received`` (``event``, kept
                        for later), ``event.dismissed``, ``event.consumed``
                        (``value``, ``key``, ``filter``, ``expected``, ``until`` filter met,
                        ``done``); ``task.iterated`` of a listen: ``output``, ``context``, ``done``;
                        of a subscription ``message.consumed`` (``value``), ``messages.fetched``
                        (``done`` if no more will come), ``messages.awaited`` (``dispatch``);
                        ``execution.retried``, ``.rewound``, ``.forked``: ``point`` the sequence
                        that they go on after, ``task``, edited ``input``, and the ``state`` from
                        here on; before ``.forked`` stand ``value.carried`` (``value``) and the
                        frames of that state as ``task.started`` with ``restored``;
                        ``execution.migrated`` (``definition``, ``digest``)
======================  ==========================================================================

Times in engine members are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from flunq.core import events as types
from flunq.core.execution import faults
from flunq.core.execution.branching import open_graph
from flunq.core.execution.commands import WorkflowRef
from flunq.core.execution.gathering import GATHERED, JOINED, begin_gathering, gathered, joined
from flunq.core.execution.reducing import (
    Data,
    arm,
    disarm,
    enter_below,
    input_source,
    purge,
    push_front,
    remember,
    remove,
    route,
    take,
)
from flunq.core.execution.restoring import from_value
from flunq.core.execution.state import (
    ROOT,
    Begin,
    Consider,
    Enter,
    Expire,
    Extending,
    Fail,
    Forking,
    Frame,
    Listening,
    Looping,
    OpenTask,
    Return,
    Settle,
    Spread,
    State,
    Stop,
    Subscribing,
    Trying,
    Wake,
    settle_status,
)
from flunq.core.markers import Grant
from flunq.core.pausing import MOST_FAILED
from flunq.core.traffic import Traffic

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent

PREPARED = types.ENGINE + "execution.prepared"
STOPPING = types.ENGINE + "execution.stopping"
NOTED = types.ENGINE + "request.noted"
TIMER_FIRED = types.ENGINE + "timer.fired"
SKIPPED = types.ENGINE + "task.skipped"
REPORTED = types.ENGINE + "task.reported"
ITERATED = types.ENGINE + "task.iterated"
CAUGHT = types.ENGINE + "task.caught"
REGISTERED = types.ENGINE + "listen.registered"
RECEIVED = types.ENGINE + "event.received"
CONSUMED = types.ENGINE + "event.consumed"
DISMISSED = types.ENGINE + "event.dismissed"
MOST_SEEN = 1_000
"""Events that a listener remembers to know them again."""
EXTENDED = types.ENGINE + "task.extended"
MESSAGE = types.ENGINE + "message.consumed"
FETCHED = types.ENGINE + "messages.fetched"
FETCHING = types.ENGINE + "messages.awaited"

RETRIED = types.ENGINE + "execution.retried"
REWOUND = types.ENGINE + "execution.rewound"
FORKED = types.ENGINE + "execution.forked"
MIGRATED = types.ENGINE + "execution.migrated"
CARRIED = types.ENGINE + "value.carried"
RESTORING = frozenset({RETRIED, REWOUND, FORKED})
"""After these an execution that had ended goes on."""

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


# --- the workflow -----------------------------------------------------------------------------


def _workflow_started(state: State, seq: int, now: int, data: Data) -> None:
    state.status = "running"
    state.started_at = now
    state.input = data.get("input")
    state.tags = data.get("tags", {})
    state.parent = data.get("parent")
    state.request = data.get("request", "")
    state.parent_task = data.get("parentTask", "")
    state.priority = data.get("priority")
    if "secrets" in data:
        grant = data["secrets"]
        state.secrets = Grant(nonce=grant["nonce"], names=tuple(grant["names"]))
    root = Frame(parent=-1, reference="", kind="workflow", input=state.input, source=seq)
    root.started_at = now
    state.frames[ROOT] = root
    if "collects" in data:
        begin_gathering(state, data)
    elif "unprepared" in data:
        _limit(state, data)
        state.ready.append(Begin())
    else:
        _prepared(state, seq, now, data)


def _limit(state: State, data: Data) -> None:
    if "timeout" in data:
        arm(state, state.frames[ROOT], "0t", data["timeout"])


def _prepared(state: State, seq: int, now: int, data: Data) -> None:
    item = take(state, data)
    _limit(state, data)
    source = seq
    if "transformed" in data:
        state.transformed = data["transformed"]
    elif seq > 1:
        source = item.source if type(item) is Begin else 1
    value = state.input if state.transformed is msgspec.UNSET else state.transformed
    if "next" in data:
        state.ready.append(Enter(ROOT, data["next"], value, source, now))
    else:
        state.ready.append(Return(ROOT, value, source))


def _request_noted(state: State, seq: int, now: int, data: Data) -> None:
    remember(state, data)


def _workflow_suspended(state: State, seq: int, now: int, data: Data) -> None:
    remember(state, data)
    state.suspended = True
    state.reason = data.get("reason", "")
    state.pause = data.get("pause", "")


def _workflow_resumed(state: State, seq: int, now: int, data: Data) -> None:
    remember(state, data)
    state.suspended = False
    state.reason = state.pause = ""
    state.despite = data.get("despite", "")
    state.failed = []
    for item in state.ready:
        if type(item) is Enter or type(item) is Spread:
            item.at = now


def _stopping(state: State, seq: int, now: int, data: Data) -> None:
    push_front(state, Stop(data["status"], reason=data.get("reason", "")))


def _end(state: State, now: int, status: str) -> None:
    state.status = status
    state.ended_at = now
    state.suspended = False
    state.pause = state.despite = ""
    state.collecting = None
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


def _restored(state: State, seq: int, now: int, data: Data) -> None:
    requests = state.requests
    past = from_value(data["state"])
    for name in State.__struct_fields__:
        setattr(state, name, getattr(past, name))
    state.requests = requests
    remember(state, data)


def _migrated(state: State, seq: int, now: int, data: Data) -> None:
    remember(state, data)
    state.workflow = WorkflowRef(digest=data["digest"], **data["definition"])


def _noted(state: State, seq: int, now: int, data: Data) -> None:
    """Events that only count."""


# --- tasks ------------------------------------------------------------------------------------


def _task_started(state: State, seq: int, now: int, data: Data) -> None:
    if "restored" in data:
        return
    item = take(state, data)
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
        arm(state, frame, f"{step}t", data["timeout"])
    opener = _OPENERS.get(frame.kind)
    if opener is not None:
        opener(state, step, frame, (seq, now, data))


Opener: TypeAlias = Callable[[State, int, Frame, tuple[int, int, Data]], None]


def _open_sequence(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    if "next" in data:
        enter_below(state, step, frame, data["next"], now)


def _open_call(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    seq, now, data = event
    dispatch = data.get("dispatch")
    if dispatch is not None:
        _open_task(state, step, frame, dispatch)
        if "foreach" in data:
            local = Subscribing(each=True, first=data["foreach"], ends=data.get("ends"))
            frame.local = local
    elif "next" in data:
        frame.scope = f"{frame.path}@{frame.reference}"
        state.ready.append(Enter(step, data["next"], data.get("with"), seq, now))


def _open_task(state: State, step: int, frame: Frame, dispatch: Data) -> None:
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
        secrets=state.secrets,
        traffic=_traffic(dispatch.get("traffic")),
    )


def _traffic(value: Data | None) -> Traffic | None:
    return None if value is None else msgspec.convert(value, Traffic)


def _open_wait(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    if "due" in event[2]:
        arm(state, frame, f"{step}w", event[2]["due"])


def _open_loop(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    if "items" not in data:
        return
    frame.local = Looping(items=data["items"])
    if "next" in data:
        frame.local.index = 0
        frame.scope = _iteration(frame, 0)
        enter_below(state, step, frame, data["next"], now)


def _open_fork(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    count = data.get("branches", 0)
    if "graph" in data:
        open_graph(state, step, frame, data["graph"], (input_source(step, frame), now))
    elif count:
        frame.local = Forking(pending=count, compete="compete" in data)
        state.ready.append(Spread(step, 0, count, now))


def _open_try(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    if "next" in data:
        frame.local = Trying(first=data["next"])
        if "attemptDue" in data:
            arm(state, frame, f"{step}a1", data["attemptDue"])
        enter_below(state, step, frame, data["next"], now)


def _open_listen(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    data = event[2]
    if "listener" in data:
        frame.local = Listening(each="foreach" in data, first=data.get("foreach", ""))
        state.listeners[data["listener"]] = step


def _open_extension(state: State, step: int, frame: Frame, event: tuple[int, int, Data]) -> None:
    _, now, data = event
    if "target" not in data:
        return
    frame.local = Extending(target=data["target"], level=data.get("level", 0))
    if "main" in data:
        frame.local.phase = "main"
    else:
        frame.scope = _around(frame, frame.local)
    enter_below(state, step, frame, data["next"], now)


def _around(frame: Frame, local: Extending) -> str:
    """Return the path of an extension's tasks: they run once for each task that is extended."""
    return f"{frame.path}@{local.target}"


_OPENERS: dict[str, Opener] = {
    "extension": _open_extension,
    "listen": _open_listen,
    "do": _open_sequence,
    "call": _open_call,
    "run": _open_call,
    "wait": _open_wait,
    "for": _open_loop,
    "fork": _open_fork,
    "try": _open_try,
}


def _iteration(frame: Frame, index: int) -> str:
    return f"{frame.path}.{index}" if frame.path else str(index)


def _task_completed(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    step: int = data["step"]
    frame = remove(state, step)
    if frame.overdue or type(frame.local) is Forking:
        purge(state, step)
    if "context" in data:
        state.context = data["context"]
    if "unwound" in data:
        _leave(state, frame)
        return
    output = data.get("output")
    local, around = frame.local, state.frames[frame.parent].local
    if type(around) is Extending:
        _note_extended(around, data)
    if "end" in data:
        push_front(state, Stop("completed", output, origin=frame.parent))
    else:
        reference = local.target if type(local) is Extending else frame.reference
        route(state, frame.parent, reference, output, (seq, now, data))


def _leave(state: State, frame: Frame) -> None:
    """Let what ends the execution stand one task further out, should somebody go on from here."""
    if state.ready and isinstance(first := state.ready[0], Stop):
        first.origin = frame.parent


def _note_extended(around: Extending, data: Data) -> None:
    around.hands = "hands" in data
    if around.phase == "main":
        around.flow = data.get("flow", {})
        around.raw = data.get("raw", msgspec.UNSET)


def _extended(state: State, seq: int, now: int, data: Data) -> None:
    item = take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    local = frame.local
    assert type(item) is Return and type(local) is Extending
    value, source = item.output, item.source
    if data["phase"] == "main":
        frame.scope = frame.path
        if not local.hands:
            value, source = frame.input, frame.source
    else:
        frame.scope = _around(frame, local)
        local.output = item.output
    frame.reentries = 0
    local.phase = data["phase"]
    local.hands = False
    state.ready.append(Enter(step, data["next"], value, source, now))


def _skipped(state: State, seq: int, now: int, data: Data) -> None:
    item = take(state, data)
    if type(item) is Enter:
        output, source = item.input, item.source
    else:
        assert item is not None
        frame = state.frames[item.step]
        output, source = frame.effective_input, input_source(item.step, frame)
    route(state, item.step, data["task"], output, (source, now, data))


def _task_faulted(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    step: int = data["step"]
    frame = remove(state, step)
    purge(state, step)
    push_front(state, Fail(frame.parent, faults.from_data(data["error"])))


def _task_cancelled(state: State, seq: int, now: int, data: Data) -> None:
    step: int = data["step"]
    remove(state, step)
    purge(state, step)


def _end_try(state: State, step: int, frame: Frame, tries: int) -> None:
    disarm(state, frame, f"{step}a{tries}")
    if frame.overdue:
        state.ready = [
            item
            for item in state.ready
            if item.step != step or (type(item) is Expire and not item.attempt)
        ]


def _task_retried(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    assert type(frame.local) is Trying
    _end_try(state, step, frame, frame.local.tries)
    frame.local.tries += 1
    frame.attempt = frame.highest = data["attempt"]
    state.failed = [*state.failed, now][-MOST_FAILED:]
    if "attemptDue" in data:
        arm(state, frame, f"{step}a{frame.local.tries}", data["attemptDue"])
    if "due" in data:
        arm(state, frame, f"{step}r{frame.local.tries}", data["due"])
    else:
        enter_below(state, step, frame, frame.local.first, now)


def _caught(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    assert type(frame.local) is Trying
    _end_try(state, step, frame, frame.local.tries)
    frame.local.error = faults.from_data(data["error"])
    if "next" in data:
        enter_below(state, step, frame, data["next"], now)


def _iterated(state: State, seq: int, now: int, data: Data) -> None:
    item = take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    if isinstance(frame.local, Listening):
        _item_done(state, step, frame, now, data)
        return
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
    disarm(state, frame, data["timer"])
    purpose = data["purpose"]
    if purpose == "wait":
        state.ready.append(Wake(step))
    elif purpose == "retry":
        assert type(frame.local) is Trying
        enter_below(state, step, frame, frame.local.first, now)
    else:
        frame.overdue = True
        push_front(state, Expire(step, attempt=purpose == "attempt"))


def _received(state: State, seq: int, now: int, data: Data) -> None:
    state.ready.append(Consider(data["step"], data["event"]))


def _consumed(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    local = frame.local
    assert type(local) is Listening
    if "value" in data:
        local.consumed.append(data["value"])
        local.filled.append(data["filter"])
        if local.each:
            local.sources.append(seq)
    if "until" in data:
        local.ended.append(data["until"])
    local.seen.append(data["key"])
    if len(local.seen) > MOST_SEEN:
        del local.seen[: MOST_SEEN // 2]
    local.expected.update(data.get("expected", {}))
    if "done" in data:
        _close(state, step, local)
    if local.each:
        _iterate(state, step, frame, now)
    elif "done" in data:
        state.ready.append(Wake(step))


def _close(state: State, step: int, local: Listening) -> None:
    """Consume no more events."""
    local.closed = True
    state.listeners.pop(f"{step}l", None)
    state.ready = [i for i in state.ready if i.step != step or type(i) is not Consider]


def _iterate(state: State, step: int, frame: Frame, now: int) -> None:
    """Begin with the next event of a ``foreach`` if the one before is done with."""
    local = frame.local
    assert isinstance(local, Listening)
    if local.busy:
        return
    index = len(local.outputs)
    if index < len(local.consumed):
        local.busy = True
        frame.reentries = 0
        frame.scope = _iteration(frame, index)
        value, source = local.consumed[index], local.sources[index]
        if local.first:
            state.ready.append(Enter(step, local.first, value, source, now))
        else:
            state.ready.append(Return(step, value, source))
    elif local.closed or type(local) is Subscribing:
        state.ready.append(Wake(step))


def _item_done(state: State, step: int, frame: Frame, now: int, data: Data) -> None:
    local = frame.local
    assert isinstance(local, Listening)
    local.busy = False
    local.outputs.append(data["output"])
    if "context" in data:
        state.context = data["context"]
    if "done" in data:
        _close(state, step, local)
        count = len(local.outputs)
        for queued in (local.consumed, local.filled, local.sources):
            del queued[count:]
    _iterate(state, step, frame, now)


def _dismissed(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)


def _message(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    local = state.frames[data["step"]].local
    assert type(local) is Subscribing
    local.consumed.append(data["value"])
    local.sources.append(seq)


def _fetched(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    assert type(frame.local) is Subscribing
    state.tasks.pop(frame.task, None)
    frame.task = ""
    frame.local.closed = "done" in data
    _iterate(state, step, frame, now)


def _fetching(state: State, seq: int, now: int, data: Data) -> None:
    take(state, data)
    step: int = data["step"]
    frame = state.frames[step]
    assert type(frame.local) is Subscribing
    frame.local.fetches += 1
    _open_task(state, step, frame, data["dispatch"])


REDUCERS: dict[str, Reducer] = {
    MESSAGE: _message,
    FETCHED: _fetched,
    FETCHING: _fetching,
    REGISTERED: _noted,
    RECEIVED: _received,
    CONSUMED: _consumed,
    DISMISSED: _dismissed,
    types.WORKFLOW_STARTED: _workflow_started,
    types.WORKFLOW_SUSPENDED: _workflow_suspended,
    types.WORKFLOW_RESUMED: _workflow_resumed,
    NOTED: _request_noted,
    types.WORKFLOW_CANCELLED: _workflow_cancelled,
    types.WORKFLOW_FAULTED: _workflow_faulted,
    types.WORKFLOW_COMPLETED: _workflow_completed,
    types.CORRELATION_STARTED: _noted,
    types.CORRELATION_COMPLETED: _noted,
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
    types.EXPIRED: _noted,
    RETRIED: _restored,
    REWOUND: _restored,
    FORKED: _restored,
    MIGRATED: _migrated,
    CARRIED: _noted,
    JOINED: joined,
    GATHERED: gathered,
    PREPARED: _prepared,
    STOPPING: _stopping,
    TIMER_FIRED: _timer_fired,
    SKIPPED: _skipped,
    REPORTED: _reported,
    ITERATED: _iterated,
    CAUGHT: _caught,
    EXTENDED: _extended,
}
