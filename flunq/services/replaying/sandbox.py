"""Forks that are tried: nothing is started, and effects answer from the record.

The core decides as it would, from a state of the past, perhaps with another input or another
version of the definition. What a call, a program, a child or a listener came to is looked up by
its step; where the record has nothing for a step the trial ends. What tasks did is compared.
"""

from __future__ import annotations

from collections import defaultdict, deque
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from flunq.core import events as types
from flunq.core.document.compiler import compile_workflow
from flunq.core.execution import faults, restoring
from flunq.core.execution.commands import Continue, Fire
from flunq.core.execution.decide import Decision, Environment, decide
from flunq.core.execution.fold import RESTORING, micros
from flunq.core.execution.restoring import RestoreError
from flunq.core.execution.state import Frame, Listening, Settle, State
from flunq.core.protocol import Tried, TriedTask
from flunq.engines.jq_process import JqPool
from flunq.errors import ConflictError, RejectedError
from flunq.services.replaying.past import Past

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.document.model import Task, Workflow
    from flunq.core.events import CloudEvent
    from flunq.core.expressions import Answer
    from flunq.core.protocol import DefinitionText, TryFork

MOST_ROUNDS = 20_000
EFFECTS = frozenset({"call", "run", "listen"})
_RUNTIME = {"name": "flunq", "version": version("flunq"), "metadata": {}}
_ENDS = {types.TASK_COMPLETED: "completed", types.TASK_FAULTED: "faulted"}

Step = tuple[str, str]
"""Reference and path."""


class Fate(msgspec.Struct, frozen=True):
    """What became of one task."""

    seq: int
    at: int
    status: str
    value: Any
    """Its output, or its error."""
    arguments: Any = None
    """What its executor was given."""

    def shown(self) -> dict[str, Any]:
        """Return it for a comparison."""
        member = "output" if self.status == "completed" else "error"
        given = {"arguments": self.arguments} if self.arguments is not None else {}
        return {"status": self.status, member: self.value, **given}


class Record:
    """What became of the tasks in some events, by step, in order."""

    def __init__(self, state: State | None = None) -> None:
        self.fates: defaultdict[Step, deque[Fate]] = defaultdict(deque)
        frames = state.frames if state is not None else {}
        self._open: dict[int, tuple[Step, Any]] = {
            number: ((frame.reference, frame.path), None) for number, frame in frames.items()
        }

    def take(self, event: CloudEvent, *, counts: bool = True) -> None:
        """Note an event; ``counts`` is false for what happened before the part of interest."""
        data = event.data
        if event.type in RESTORING:
            self._undo(data["point"])
        elif event.type == types.TASK_STARTED:
            given = data.get("dispatch", {}).get("arguments")
            self._open[data["step"]] = (data["task"], data.get("path", "")), given
        elif event.type in _ENDS:
            step, given = self._open.pop(data["step"], ((data["task"], ""), None))
            status = _ENDS[event.type]
            value = data.get("output") if status == "completed" else data.get("error")
            if counts:
                fate = Fate(event.seq, micros(event.time), status, value, given)
                self.fates[step].append(fate)

    def _undo(self, point: int) -> None:
        """Forget what was gone back to before."""
        for step, fates in self.fates.items():
            self.fates[step] = deque(fate for fate in fates if fate.seq <= point)


class Trial:
    """One fork that is tried."""

    def __init__(self, state: State, workflow: Workflow, record: Record, now: int) -> None:
        self.state = state
        self.record = record
        self.made = Record(state)
        self.stopped_at = ""
        self._left = {step: deque(fates) for step, fates in record.fates.items()}
        self._now = now
        self._env = Environment(
            workflow=workflow,
            tenant="sandbox",
            partition=0,
            source="/flunq/sandbox",
            runtime=_RUNTIME,
        )
        self._answers: dict[str, Answer] = {}

    async def run(self, engine: JqPool) -> None:
        """Go on until the end, or until the record has nothing for what comes next."""
        command: Continue | Fire | None = Continue(id=self.state.id)
        for _ in range(MOST_ROUNDS):
            if command is None or self.state.is_terminal:
                return
            decision = self._decide(command)
            if decision.need is not None:
                answer = await engine.evaluate(decision.need)
                self._answers[decision.need.key] = answer
            command = self._next(decision)
        self.stopped_at = f"it goes on for more than {MOST_ROUNDS} rounds"

    def _decide(self, command: Continue | Fire) -> Decision:
        self.state, decision = decide(self.state, command, self._now, self._env, self._answers)
        for event in decision.events:
            self.made.take(event)
        if decision.need is None:
            self._answers = {}
        return decision

    def _next(self, decision: Decision) -> Continue | Fire | None:
        state = self.state
        if state.is_terminal:
            return None
        if decision.need is not None or state.has_work or self._settle_one():
            return Continue(id=state.id)
        timers = [(due, timer) for timer, due in state.timers.items() if not timer.endswith("t")]
        if timers:
            due, timer = min(timers)
            self._now = max(self._now, due)
            return Fire(id=state.id, timer=timer)
        self.stopped_at = self._unanswered()
        return None

    def _settle_one(self) -> bool:
        """Let the effect come to its end that did so first in the record."""
        known = [
            (fates[0].seq, number)
            for number, frame in self.state.frames.items()
            if _is_open(self.state, number, frame)
            and (fates := self._left.get((frame.reference, frame.path)))
        ]
        if not known:
            return False
        _, number = min(known)
        frame = self.state.frames[number]
        fate = self._left[(frame.reference, frame.path)].popleft()
        self._now = max(self._now, fate.at)
        self.state.tasks.pop(frame.task, None)
        frame.task = ""
        failure = faults.from_data(fate.value) if fate.status == "faulted" else None
        output = None if failure else fate.value
        self.state.ready.append(Settle(number, output, failure))
        return True

    def _unanswered(self) -> str:
        open_ones = [
            frame.reference
            for number, frame in self.state.frames.items()
            if _is_open(self.state, number, frame)
        ]
        return f"{', '.join(sorted(open_ones)) or 'it'}: the record has nothing for it"


def _is_open(state: State, number: int, frame: Frame) -> bool:
    if frame.task:
        return frame.task in state.tasks and frame.local is None
    local = frame.local
    return type(local) is Listening and not local.each and number in state.listeners.values()


async def try_fork(client: Client, question: TryFork) -> Tried:
    """Try a fork, and compare it with what happened."""
    past = Past(client, question.id)
    details = await client.get(question.id)
    trail = await past.look()
    try:
        point = trail.at(question.at)
    except RestoreError as error:
        raise RejectedError(str(error)) from None
    moment = await past.moment(point.seq)
    name = f"{details.namespace}/{details.workflow}"
    old = await client.workflow(f"{name}:{details.version}")
    new = await client.workflow(f"{name}:{question.version or details.version}")
    workflow = _answerable(_compiled(new), _compiled(old))
    state = moment.state
    _prepare(state, workflow, moment.at, question.input)
    record = Record()
    async for event in past.events():
        record.take(event, counts=event.seq > point.seq)
    trial = Trial(state, workflow, record, moment.at)
    async with JqPool(size=1) as engine:
        await trial.run(engine)
    return _compared(question.id, trial, details.status)


def _prepare(state: State, workflow: Workflow, at: int, edited: Any) -> None:
    misfits = restoring.strangers(state, workflow)
    if misfits:
        raise RejectedError(f"{workflow.ref} does not have what is open: {'; '.join(misfits)}")
    state.workflow, state.suspended = workflow.ref, False
    restoring.renew(state, now=at, at=at)
    if edited is not UNSET:
        try:
            restoring.edit_input(state, "", edited)
        except RestoreError as error:
            raise RejectedError(str(error)) from None


def _compiled(found: DefinitionText) -> Workflow:
    if found.resources:
        raise ConflictError(
            "a definition that was registered with other files cannot be tried",
            hint="fork it for real, or try it with: flunq run",
        )
    return compile_workflow(found.document, found.definition.digest)


def _answerable(new: Workflow, old: Workflow) -> Workflow:
    """Return a definition whose effects take what the record has: outputs, transformed already."""
    tasks = {
        reference: _as_recorded(task, old.tasks.get(reference))
        for reference, task in new.tasks.items()
    }
    return msgspec.structs.replace(new, tasks=tasks)


def _as_recorded(task: Task, old: Task | None) -> Task:
    stage = task.output
    known = old is not None and old.definition.get("output") == task.definition.get("output")
    if task.kind not in EFFECTS or stage.transform is None or not known:
        return task
    return msgspec.structs.replace(task, output=msgspec.structs.replace(stage, transform=None))


def _compared(execution: str, trial: Trial, before: str) -> Tried:
    changed: list[TriedTask] = []
    same = 0
    ended = trial.state.is_terminal
    for step in dict.fromkeys([*trial.record.fates, *trial.made.fates]):
        olds, news = list(trial.record.fates[step]), list(trial.made.fates[step])
        for number in range(max(len(olds), len(news))):
            old = olds[number] if number < len(olds) else None
            new = news[number] if number < len(news) else None
            if old is not None and new is not None and _alike(old, new):
                same += 1
            elif new is not None or ended:
                changed.append(_change(step, old, new))
    return Tried(
        id=execution,
        status=trial.state.status if ended else "diverged",
        same=same,
        changed=changed,
        stopped_at="" if ended else trial.stopped_at,
        output=trial.state.output,
        failure=trial.state.failure,
        before=before,
    )


def _alike(old: Fate, new: Fate) -> bool:
    given = old.arguments == new.arguments or None in (old.arguments, new.arguments)
    return given and (old.status, old.value) == (new.status, new.value)


def _change(step: Step, old: Fate | None, new: Fate | None) -> TriedTask:
    reference, path = step
    return TriedTask(
        task=reference,
        path=path,
        before=None if old is None else old.shown(),
        after=None if new is None else new.shown(),
    )
