"""One execution, folded from its events so that it can be seen as it was after any of them.

The events are read once. Each step of the execution keeps the numbers of the events that changed
it, so that its state after event ``n`` is a question to these numbers, not another replay.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from flunq.core import events as types
from flunq.core.statuses import ENDED
from flunq_tui.model.formats import micros, task_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flunq.core.events import LazyEvent

ROOT = 0
CONTAINERS = frozenset({"do", "for", "fork", "try", "extension", "workflow"})
_WAITING_KINDS = frozenset({"wait", "listen"})
_ENDINGS = {
    types.TASK_COMPLETED: "completed",
    types.TASK_FAULTED: "faulted",
    types.TASK_CANCELLED: "cancelled",
}
_STATUSES = {
    types.WORKFLOW_STARTED: "running",
    types.WORKFLOW_SUSPENDED: "suspended",
    types.WORKFLOW_RESUMED: "running",
    types.WORKFLOW_COMPLETED: "completed",
    types.WORKFLOW_FAULTED: "faulted",
    types.WORKFLOW_CANCELLED: "cancelled",
    types.QUARANTINED: "quarantined",
}
FAILURES = frozenset({types.TASK_FAULTED, types.WORKFLOW_FAULTED, types.QUARANTINED})
_RESTORED = frozenset({types.ENGINE + "execution.retried", types.ENGINE + "execution.rewound"})
"""The execution goes on from where it was after an earlier event."""
_WITH_STATE = _RESTORED | {types.ENGINE + "execution.forked"}
"""What the execution was like where it goes on is told by the event itself."""
_TASK_OUTPUTS = ("output", "transformed", "with", "value", "input")


class _Dispatch(msgspec.Struct):
    kind: str = ""


class _State(msgspec.Struct):
    suspended: bool = False


class _Facts(msgspec.Struct):
    """The members of an event's data that the index needs."""

    task: str = ""
    step: int = 0
    kind: str = ""
    parent: int = 0
    path: str = ""
    attempt: int = 1
    due: int | None = None
    purpose: str = ""
    index: int | None = None
    dispatch: _Dispatch | None = None
    listener: str = ""
    reason: str = ""
    point: int = 0
    state: _State = msgspec.field(default_factory=_State)
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_facts = msgspec.json.Decoder(_Facts).decode


class Mark(msgspec.Struct, frozen=True):
    """Something that happened to a step between its start and its end."""

    seq: int
    moment: int
    kind: str
    """``retried``, ``fired``, ``caught``, ``iterated``, ``registered``, ``consumed``, ..."""
    due: int | None = None
    attempt: int = 0


class Ending(NamedTuple):
    """How and when a step ended; after ``reopened`` (0: never) it was open again."""

    seq: int
    moment: int
    word: str
    reopened: int = 0


@dataclass(slots=True)
class Step:
    """One instance of a task: one attempt of one iteration."""

    number: int
    reference: str
    created: int
    moment: int
    kind: str = ""
    parent: int = ROOT
    path: str = ""
    attempt: int = 1
    started: int = 0
    """Number of the event that started it; 0 as long as there is none."""
    started_at: int = 0
    due: int | None = None
    dispatched: str = ""
    endings: list[Ending] = field(default_factory=list)
    undone: int = 0
    """Number of the event that went back to before the step; 0 as long as there is none."""
    marks: list[Mark] = field(default_factory=list)
    children: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The task's name, with the number of the iteration inside a loop."""
        name = task_name(self.reference)
        last = self.path.split("~")[0].rpartition(".")[2]
        return f"{name} [{last}]" if last.isdigit() else name

    def is_there(self, position: int) -> bool:
        """Tell whether the step exists after an event."""
        return self.created <= position and not 0 < self.undone <= position

    def is_begun(self, position: int) -> bool:
        """Tell whether more than its creation had happened up to an event."""
        first = [mark.seq for mark in self.marks[:1]] + [each.seq for each in self.endings[:1]]
        first += [self.started] if self.started else []
        return min(first, default=position + 1) <= position

    def end(self, position: int) -> Ending | None:
        """Return how the step ended if it is over after an event."""
        for each in reversed(self.endings):
            if each.seq <= position:
                return None if 0 < each.reopened <= position else each
        return None

    def has_ended(self, position: int) -> bool:
        """Tell whether the step is over after an event."""
        return self.end(position) is not None

    def last_mark(self, position: int) -> Mark | None:
        """Return what happened last, up to an event."""
        index = bisect_right(self.marks, position, key=lambda mark: mark.seq)
        return self.marks[index - 1] if index else None

    def status(self, position: int) -> str:
        """Return how the step is after an event."""
        if (ending := self.end(position)) is not None:
            return ending.word
        if not 0 < self.started <= position:
            return "created"
        if self.retry_due(position) is not None:
            return "retrying"
        return "waiting" if self.kind in _WAITING_KINDS else "running"

    def retry_due(self, position: int) -> int | None:
        """Return when the next attempt is due, if one is waited for."""
        mark = self.last_mark(position)
        return mark.due if mark is not None and mark.kind == "retried" else None

    def attempts(self, position: int) -> int:
        """Return which attempt a ``try`` is at."""
        return max(
            (
                mark.attempt
                for mark in self.marks
                if mark.kind == "retried" and mark.seq <= position
            ),
            default=1,
        )


class Waiting(msgspec.Struct, frozen=True):
    """One thing that an execution waits for."""

    step: int
    name: str
    kind: str
    """``retry``, ``wait``, ``listen``, or what was dispatched."""
    since: int
    due: int | None = None
    attempt: int = 1


class Execution:
    """All events of one execution, and answers about it after any of them."""

    def __init__(self, execution: str = "") -> None:
        self.id = execution
        self.workflow = ""
        self.events: list[LazyEvent] = []
        self.moments: list[int] = []
        self.steps: dict[int, Step] = {}
        self.failures: list[int] = []
        self._owners: list[int] = []
        """For each event the step that it is about."""
        self._statuses: list[tuple[int, str]] = []
        self._contexts: list[int] = []
        self._states: list[int] = []
        """Events that tell the whole state to go on from."""
        self._decoded: dict[int, Any] = {}

    # -- building ----------------------------------------------------------------------------------

    def extend(self, events: Iterable[LazyEvent]) -> int:
        """Take events that follow those that are known; returns how many were new."""
        before = len(self.events)
        for event in events:
            if event.seq == len(self.events) + 1:
                self._take(event)
        return len(self.events) - before

    def _take(self, event: LazyEvent) -> None:
        try:
            facts = _facts(event.data)
        except msgspec.DecodeError:
            facts = _Facts()  # a file may hold anything; the event itself still shows
        seq, moment = event.seq, micros(event.time)
        self.events.append(event)
        self.moments.append(moment)
        self.id, self.workflow = event.subject or self.id, event.workflow or self.workflow
        self._owners.append(self._note(event.type, facts, seq, moment))
        if facts.context is not msgspec.UNSET or event.type in _WITH_STATE:
            self._contexts.append(seq)
        if event.type in _WITH_STATE:
            self._states.append(seq)
        if event.type in _STATUSES:
            self._statuses.append((seq, _STATUSES[event.type]))
        if event.type in FAILURES:
            self.failures.append(seq)

    def _note(self, kind: str, facts: _Facts, seq: int, moment: int) -> int:
        if kind in _RESTORED:
            self._go_back(facts, seq, moment)
            self._statuses.append((seq, "suspended" if facts.state.suspended else "running"))
            return ROOT
        if kind == types.TASK_CREATED:
            self.steps[seq] = Step(seq, facts.task, seq, moment)
            return seq
        step = self.steps.get(facts.step)
        if step is None:
            return ROOT
        if kind == types.TASK_STARTED:
            self._start(step, facts, seq, moment)
        elif kind in _ENDINGS:
            step.endings.append(Ending(seq, moment, _ENDINGS[kind]))
        else:
            word = kind.removesuffix(".v1").rpartition(".")[2]
            step.marks.append(Mark(seq, moment, word, facts.due, facts.attempt))
        return step.number

    def _go_back(self, facts: _Facts, seq: int, moment: int) -> None:
        """Open again what was open after an earlier event, and undo what came later."""
        for step in self.steps.values():
            if not step.is_begun(facts.point):
                # One that was only created there is created once more.
                step.undone = step.undone or seq
            elif step.endings and facts.point < step.endings[-1].seq < seq:
                step.endings[-1] = step.endings[-1]._replace(reopened=seq)
                step.marks.append(Mark(seq, moment, "restored"))

    def _start(self, step: Step, facts: _Facts, seq: int, moment: int) -> None:
        step.started, step.started_at = seq, moment
        step.kind, step.parent, step.path = facts.kind, facts.parent, facts.path
        step.attempt, step.due = facts.attempt, facts.due
        step.dispatched = facts.dispatch.kind if facts.dispatch is not None else ""
        parent = self.steps.get(facts.parent)
        if parent is not None:
            parent.children.append(step.number)

    # -- questions ---------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return len(self.events)

    def moment(self, position: int) -> int:
        """Return when an event happened."""
        return self.moments[min(position, self.last) - 1] if self.last and position > 0 else 0

    def status(self, position: int) -> str:
        """Return the execution's status after an event."""
        status = self._status_entry(position)[1]
        if status != "running":
            return status
        open_steps = [step for step in self.steps.values() if self._is_open(step, position)]
        leaves = [
            step
            for step in open_steps
            if step.kind not in CONTAINERS or _is_retrying(step, position)
        ]
        waits = bool(leaves) and all(
            step.status(position) in ("waiting", "retrying") for step in leaves
        )
        return "waiting" if waits else status

    def _status_entry(self, position: int) -> tuple[int, str]:
        """Return the newest event up to a position that told a status, and the status."""
        index = bisect_right(self._statuses, position, key=lambda entry: entry[0])
        return self._statuses[index - 1] if index else (0, "")

    def step_of(self, seq: int) -> int:
        """Return the step that an event is about; 0 for the execution itself."""
        return self._owners[seq - 1] if 0 < seq <= self.last else ROOT

    def roots(self, position: int) -> list[Step]:
        """Return the steps at the top that exist after an event."""
        return [
            step for step in self.steps.values() if step.parent == ROOT and step.is_there(position)
        ]

    def children(self, step: Step, position: int) -> list[Step]:
        """Return the steps below one that exist after an event."""
        return [
            self.steps[number] for number in step.children if self.steps[number].is_there(position)
        ]

    def waiting(self, position: int) -> list[Waiting]:
        """Return what the execution waits for after an event."""
        if self.status(position) in ENDED:
            return []
        return [
            _waiting(step, position)
            for step in self.steps.values()
            if self._is_open(step, position)
            and (step.kind not in CONTAINERS or _is_retrying(step, position))
        ]

    def next_failure(self, position: int, *, backwards: bool = False) -> int | None:
        """Return the next event that tells of a failure."""
        if backwards:
            return max((seq for seq in self.failures if seq < position), default=None)
        return min((seq for seq in self.failures if seq > position), default=None)

    def _is_open(self, step: Step, position: int) -> bool:
        return step.is_there(position) and not step.has_ended(position)

    # -- values ------------------------------------------------------------------------------------

    def data(self, seq: int) -> dict[str, Any]:
        """Return the data of an event."""
        if not 0 < seq <= self.last:
            return {}
        if seq not in self._decoded:
            if len(self._decoded) > 64:
                self._decoded.clear()
            value = self.events[seq - 1].value()
            self._decoded[seq] = value if isinstance(value, dict) else {}
        found: dict[str, Any] = self._decoded[seq]
        return found

    def input(self, step: int, position: int) -> Any:
        """Return the input of a step, or of the execution; UNSET before it has one."""
        if step == ROOT:
            return self._state(position).get("input", self.data(1).get("input", msgspec.UNSET))
        found = self.steps[step]
        if not 0 < found.started <= position:
            return msgspec.UNSET
        data = self.data(found.started)
        if "input" in data:
            return data["input"]
        return self._named_by(data.get("inputFrom", 0))

    def output(self, step: int, position: int) -> Any:
        """Return the output of a step, or of the execution; UNSET before it has one."""
        if step == ROOT:
            if self.status(position) != "completed":
                return msgspec.UNSET
            return self.data(self._status_entry(position)[0]).get("output")
        found = self.steps[step]
        ending = found.end(position)
        if ending is None or ending.word != "completed":
            return msgspec.UNSET
        return self.data(ending.seq).get("output")

    def context(self, position: int) -> Any:
        """Return the context after an event; UNSET before anything was exported."""
        newest = _newest(self._contexts, position)
        if newest in self._states:
            return self._state(position).get("context", msgspec.UNSET)
        return self.data(newest)["context"] if newest else msgspec.UNSET

    def error(self, step: int, position: int) -> dict[str, Any] | None:
        """Return the newest error of a step, or of the execution, up to an event.

        What an execution failed with is forgotten once it goes on from an earlier point.
        """
        if step == ROOT:
            kinds = (types.WORKFLOW_FAULTED, types.QUARANTINED)
            since = _newest(self._states, position)
            seqs = [seq for seq in self.failures if self.events[seq - 1].type in kinds]
            seqs = [seq for seq in seqs if seq > since]
        else:
            found = self.steps[step]
            seqs = [mark.seq for mark in found.marks if mark.kind in ("retried", "caught")]
            seqs += [each.seq for each in found.endings if each.word == "faulted"]
        seen = [seq for seq in seqs if seq <= position]
        error = self.data(max(seen)).get("error") if seen else None
        return error if isinstance(error, dict) else None

    def arguments(self, step: int, position: int) -> Any:
        """Return what was dispatched to an executor; UNSET if nothing was."""
        found = self.steps.get(step)
        if found is None or not 0 < found.started <= position:
            return msgspec.UNSET
        dispatch = self.data(found.started).get("dispatch")
        return dispatch.get("arguments") if isinstance(dispatch, dict) else msgspec.UNSET

    def _state(self, position: int) -> dict[str, Any]:
        """Return what the event told that the execution went on from last."""
        found = self.data(_newest(self._states, position)).get("state")
        return found if isinstance(found, dict) else {}

    def _named_by(self, seq: int) -> Any:
        data = self.data(seq)
        for member in _TASK_OUTPUTS:
            if member in data:
                return data[member]
        return msgspec.UNSET


def _newest(seqs: list[int], position: int) -> int:
    """Return the last number up to a position, 0 if there is none."""
    index = bisect_right(seqs, position)
    return seqs[index - 1] if index else 0


def _is_retrying(step: Step, position: int) -> bool:
    return step.retry_due(position) is not None


def _waiting(step: Step, position: int) -> Waiting:
    due = step.retry_due(position)
    if due is not None:
        mark = step.last_mark(position)
        assert mark is not None
        return Waiting(step.number, step.name, "retry", mark.moment, due, mark.attempt)
    kind = step.dispatched or step.kind or "created"
    since = step.started_at or step.moment
    return Waiting(step.number, step.name, kind, since, step.due, step.attempt)
