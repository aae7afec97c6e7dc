"""Spans of a trace, made from the events of executions and from nothing else.

An execution is a span, and so is each attempt of a task; the executions that a task starts are
below it. What a span is called follows from what it stands for, so events that are read twice
make the same spans. An execution that goes on after its end gets another span for that part.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core import ids
from flunq.core.execution.fold import RESTORING, micros
from flunq.core.reading.pointers import split
from flunq.core.tracing import begins_trace, read_context, span_of

if TYPE_CHECKING:
    from flunq.core.events import LazyEvent

MOST_KEPT = 20_000
"""Executions that are remembered; others are read anew when they go on."""
INTERNAL, CLIENT, PRODUCER, CONSUMER = 1, 3, 4, 5
_ROOT = 0
_CHILD = "workflow"
_ENDS = frozenset({types.TASK_COMPLETED, types.TASK_FAULTED, types.TASK_CANCELLED})
_NOTED = frozenset({types.WORKFLOW_SUSPENDED, types.WORKFLOW_RESUMED})
TOLD = (
    frozenset({types.WORKFLOW_STARTED, types.TASK_STARTED, types.TASK_RETRIED})
    | _ENDS
    | _NOTED
    | types.TERMINAL_TYPES
    | RESTORING
)
"""Types of the events that spans are made from."""


class UnknownExecutionError(Exception):
    """The beginning of this execution was not seen, or is forgotten: show its history first."""


class SpanNote(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened within a span."""

    name: str
    time: int
    attributes: dict[str, Any] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time and what it was about; moments in microseconds since the epoch."""

    trace: str
    span: str
    parent: str = ""
    name: str
    kind: int = INTERNAL
    start: int
    end: int
    attributes: dict[str, Any] = {}
    notes: list[SpanNote] = []
    error: str | None = None
    """What went wrong; None if nothing did."""


class _Data(msgspec.Struct):
    """What is needed of an event's data."""

    step: int = 0
    parent: int = 0
    task: str = ""
    kind: str = ""
    path: str = ""
    attempt: int = 1
    error: Any = None
    dispatch: Any = None
    state: Any = None
    reason: str = ""


class _Open(msgspec.Struct, kw_only=True):
    """A span that has not ended."""

    span: str
    parent: str
    name: str
    start: int
    kind: int = INTERNAL
    attributes: dict[str, Any] = {}
    notes: list[SpanNote] = []


class _Run(msgspec.Struct, kw_only=True):
    """What is known of one execution."""

    trace: str
    sampled: bool
    first: str
    """The span that it began with."""
    own: _Open | None
    """The span of what goes on now; None once it has ended."""
    about: dict[str, Any]
    tasks: dict[int, _Open] = {}


_data = msgspec.json.Decoder(_Data).decode


class SpanMaker:
    """Takes events in the order of the journal and returns the spans that end with them."""

    def __init__(self, tenant: str, *, most_kept: int = MOST_KEPT) -> None:
        self._tenant = tenant
        self._most = most_kept
        self._runs: OrderedDict[str, _Run] = OrderedDict()

    def take(self, event: LazyEvent) -> list[Span]:
        """Return what ends with an event; raises UnknownExecutionError."""
        if event.type not in TOLD:
            if event.type in types.GONE:
                self._runs.pop(event.subject, None)
            return []
        if event.type == types.WORKFLOW_STARTED:
            self._begin(event)
            return []
        run = self._runs.get(event.subject)
        if run is None:
            raise UnknownExecutionError(event.subject)
        self._runs.move_to_end(event.subject)
        return self._spans(run, event, _data(event.data)) if run.sampled else []

    def knows(self, execution: str) -> bool:
        """Tell whether the beginning of an execution is known."""
        return execution in self._runs

    def pass_over(self, execution: str) -> None:
        """Make no spans of an execution whose beginning nobody knows any more."""
        self._keep(execution, _Run(trace="", sampled=False, first="", own=None, about={}))

    def _keep(self, execution: str, run: _Run) -> None:
        self._runs[execution] = run
        self._runs.move_to_end(execution)
        if len(self._runs) > self._most:
            self._runs.popitem(last=False)

    def _begin(self, event: LazyEvent) -> None:
        given = None if event.traceparent is msgspec.UNSET else event.traceparent
        context = read_context(given)
        execution, parent, sampled = event.subject, "", True
        if context is None:
            seed = f"{self._tenant}\n{execution}\n{event.time}".encode()
            trace = blake2b(seed, digest_size=16).hexdigest()
        else:
            trace, sampled = context.trace, context.sampled
            parent = "" if begins_trace(context, execution) else context.span
        about = {"flunq.execution": execution, "flunq.tenant": self._tenant}
        span = span_of(trace, execution)
        own = _Open(
            span=span,
            parent=parent,
            name=event.workflow.rpartition(":")[0],
            start=micros(event.time),
            attributes={"flunq.workflow": event.workflow},
        )
        self._keep(execution, _Run(trace=trace, sampled=sampled, first=span, own=own, about=about))

    def _spans(self, run: _Run, event: LazyEvent, data: _Data) -> list[Span]:
        now = micros(event.time)
        if event.type == types.TASK_STARTED:
            run.tasks[data.step] = _task(run, event.subject, data, now)
        elif event.type in _ENDS:
            opened = run.tasks.pop(data.step, None)
            return [] if opened is None else [_ended(run, opened, now, event.type, data)]
        elif event.type == types.TASK_RETRIED:
            _note(run.tasks.get(data.step), "retry", now, _facts(data.error))
        elif event.type in _NOTED:
            _note(run.own, _word(event.type), now, {"reason": data.reason} if data.reason else {})
        else:
            return self._end(run, event, data, now)
        return []

    def _end(self, run: _Run, event: LazyEvent, data: _Data, now: int) -> list[Span]:
        """End all that is open: the execution has ended, or goes on from somewhere else."""
        left = [
            _ended(run, each, now, types.TASK_CANCELLED, _Data()) for each in run.tasks.values()
        ]
        if run.own is not None:
            left.append(_ended(run, run.own, now, event.type, data))
        run.own, run.tasks = None, {}
        if event.type in RESTORING:
            _go_on(run, event, data, now)
        return left


def _task(run: _Run, execution: str, data: _Data, now: int) -> _Open:
    step = ids.task_id(execution, data.task, data.path, data.attempt)
    around = run.tasks.get(data.parent)
    own = "" if run.own is None else run.own.span
    facts: dict[str, Any] = {"flunq.task": data.task, "flunq.task.kind": data.kind}
    facts |= {"flunq.task.attempt": data.attempt, "flunq.task.step": data.step}
    executor = data.dispatch.get("kind") if isinstance(data.dispatch, dict) else None
    if executor is not None:
        facts["flunq.executor"] = executor
    return _Open(
        span=span_of(run.trace, execution, step),
        parent=own if around is None else around.span,
        name=_name(data.task),
        start=now,
        kind=_kind(data.kind, executor),
        attributes=facts,
    )


def _kind(task: str, executor: str | None) -> int:
    if executor is not None and executor != _CHILD:
        return CLIENT
    return {"emit": PRODUCER, "listen": CONSUMER}.get(task, INTERNAL)


def _go_on(run: _Run, event: LazyEvent, data: _Data, now: int) -> None:
    """Open a span for what comes now, and others for the tasks that are open there."""
    mark = f"#{event.seq}"
    span = span_of(run.trace, event.subject, mark)
    name = f"{event.workflow.rpartition(':')[0]} {_word(event.type)}"
    facts = {"flunq.workflow": event.workflow}
    run.own = _Open(span=span, parent=run.first, name=name, start=now, attributes=facts)
    state = data.state if isinstance(data.state, dict) else {}
    for step, frame in sorted((int(s), f) for s, f in state.get("frames", {}).items()):
        if step == _ROOT:
            continue
        told = _Data(
            step=step,
            parent=frame.get("parent", _ROOT),
            task=frame["reference"],
            kind=frame.get("kind", ""),
            path=frame.get("path", ""),
            attempt=frame.get("attempt", 1),
        )
        opened = _task(run, event.subject, told, now)
        # The span of what was interrupted has been told already.
        opened.span = span_of(run.trace, opened.span, mark)
        run.tasks[step] = opened


def _ended(run: _Run, opened: _Open, now: int, type: str, data: _Data) -> Span:
    facts = _facts(data.error)
    notes = [*opened.notes]
    if facts:
        notes.append(SpanNote(name="exception", time=now, attributes=facts))
    status = {"flunq.status": _word(type)}
    if data.reason:
        status["flunq.reason"] = data.reason
    failed = type in (types.TASK_FAULTED, types.WORKFLOW_FAULTED, types.QUARANTINED)
    return Span(
        trace=run.trace,
        span=opened.span,
        parent=opened.parent,
        name=opened.name,
        kind=opened.kind,
        start=opened.start,
        end=max(now, opened.start),
        attributes={**run.about, **opened.attributes, **status},
        notes=notes,
        error=_message(facts, data.reason) if failed else None,
    )


def _note(opened: _Open | None, name: str, now: int, facts: dict[str, Any]) -> None:
    if opened is not None:
        opened.notes.append(SpanNote(name=name, time=now, attributes=facts))


def _facts(error: Any) -> dict[str, Any]:
    """Return an error as the attributes of an exception."""
    if not isinstance(error, dict):
        return {}
    title, detail = error.get("title"), error.get("detail")
    message = ": ".join(str(part) for part in (title, detail) if part)
    found = {"exception.type": error.get("type"), "exception.message": message or None}
    if isinstance(error.get("status"), int):
        found["flunq.error.status"] = error["status"]
    return {name: value for name, value in found.items() if value is not None}


def _message(facts: dict[str, Any], reason: str) -> str:
    return str(facts.get("exception.message") or facts.get("exception.type") or reason)


def _name(reference: str) -> str:
    tokens = split(reference)
    return tokens[-1] if tokens else reference


def _word(type: str) -> str:
    """Return what an event says has happened, in one word."""
    return type.removesuffix(".v1").rpartition(".")[2]
