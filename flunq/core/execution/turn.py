"""One call of ``decide``: the state, the events and effects so far, and what handlers use.

A transition computes everything first and emits afterwards, so that an expression which needs
an answer from outside, or fails, leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core import ids
from flunq.core.document.model import DataStage, DurationSpec, Flow, Program, Task, Workflow
from flunq.core.document.schemas import Schema, SchemaError
from flunq.core.duration import Duration, DurationError, parse_duration
from flunq.core.events import CloudEvent
from flunq.core.execution import faults
from flunq.core.execution.commands import Cancel, Report
from flunq.core.execution.effects import Arm, Disarm, Effect, Finish, Tell, Withdraw
from flunq.core.execution.faults import TaskError, problem
from flunq.core.execution.fold import REDUCERS, SKIPPED
from flunq.core.execution.state import (
    CHILD,
    ROOT,
    Extending,
    Frame,
    Ready,
    State,
    lifecycle_name,
    settle_status,
)
from flunq.core.execution.suspending import call_hook
from flunq.core.execution.variables import (
    BEFORE,
    DEFINITION,
    EXPORT,
    UNSET,
    WORKFLOW_INPUT,
    WORKFLOW_OUTPUT,
    Step,
    bind,
    moment,
)
from flunq.core.expressions import Answers, ExpressionError
from flunq.core.markers import occurs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flunq.core.execution.commands import Failure

INLINE_INPUT = 2048
"""A raw input up to this many bytes is repeated in ``task.started``."""
INTERRUPTIONS = 64
"""Tasks that one transition cancels at most."""
EVENT_OVERHEAD = 400
SHALLOW = 512
"""Fewer bytes than this cannot be nested too deeply: a level takes two."""
MAX_VALUE = 64 << 20
"""A value that an execution makes may have up to this many bytes."""
MAX_EVENT = (1 << 20) - 16 * 1024
"""A message of a server with the usual limit, with room for what goes around the event."""
LEVELS_ABOVE = 24
"""Levels that events, commits and states put around a value, with room to spare."""

_NOTHING: Mapping[str, Any] = {}
_SCALARS = frozenset({type(None), bool, int, float})
_encode = msgspec.json.Encoder().encode


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What is constant about an execution but not part of its state."""

    workflow: Workflow
    tenant: str
    partition: int
    source: str
    """The ``source`` of its CloudEvents."""
    runtime: dict[str, Any] = {}
    """``$runtime``."""
    max_event: int = MAX_EVENT
    """Bytes that an event of an ``emit`` may have."""


class Outcome:
    """A transformed output and the context that it exported, not emitted yet."""

    __slots__ = ("context", "output", "raw", "size")

    def __init__(self, output: Any, size: int, context: Any = UNSET, raw: Any = UNSET) -> None:
        self.output = output
        self.context = context
        self.raw = raw
        """The raw output, if that is another one."""
        self.size = size
        """Approximate bytes of the output and the context."""


def _directions(flow: Flow) -> dict[str, Any]:
    """Return a flow as the members of an event."""
    if flow.end:
        return {"end": True}
    if flow.leave:
        return {"leave": True}
    if not flow.next:
        return {}
    return {"next": flow.next, "back": True} if flow.back else {"next": flow.next}


class Turn:
    """The working memory of one decision."""

    __slots__ = (
        "_descriptor",
        "_sizes",
        "answers",
        "effects",
        "env",
        "events",
        "item",
        "name",
        "now",
        "reported",
        "size",
        "state",
        "time",
        "workflow_text",
    )

    def __init__(self, state: State, env: Environment, now: int, answers: Answers) -> None:
        self.state = state
        self.env = env
        self.now = now
        self.time = types.timestamp(now)
        self.answers = answers
        self.events: list[CloudEvent] = []
        self.effects: list[Effect] = []
        self.size = 0
        """Approximate bytes of the events so far."""
        self.item: Ready | None = None
        """The entry of ``ready`` that the current transition deals with."""
        self.reported = ""
        """The open task whose report is being acted upon: not to be withdrawn."""
        self.name = lifecycle_name(state)
        self.workflow_text = str(state.workflow)
        self._descriptor: dict[str, Any] | None = None
        self._sizes: dict[int, int] = {}

    # --- events -------------------------------------------------------------------------------

    def emit(self, type: str, data: dict[str, Any]) -> int:
        """Record an event, apply it, and return its sequence."""
        state = self.state
        env = self.env
        seq = state.seq + 1
        trace = state.traceparent
        self.events.append(
            CloudEvent(
                id=f"{state.id}:{seq}",
                source=env.source,
                type=type,
                subject=state.id,
                time=self.time,
                tenant=env.tenant,
                workflow=self.workflow_text,
                partition=env.partition,
                seq=seq,
                data=data,
                traceparent=UNSET if trace is None else trace,
            )
        )
        self.size += EVENT_OVERHEAD
        REDUCERS[type](state, seq, self.now, data)
        state.seq = seq
        return seq

    def emit_task(
        self, type: str, when: str, reference: str, step: int, members: dict[str, Any] | None = None
    ) -> None:
        """Record an event of a task; it takes off the current entry of ``ready``."""
        data = {"workflow": self.name, "task": reference, when: self.time, "step": step}
        if members:
            data.update(members)
        self.take_off(data)
        self.emit(type, data)

    def take_off(self, data: dict[str, Any]) -> None:
        """Let the event with this ``data`` deal with the current entry of ``ready``."""
        item = self.item
        if item is None:
            return
        ready = self.state.ready
        turn = 0
        while ready[turn] is not item:
            turn += 1
        data["turn"] = turn
        self.item = None

    def size_of(self, value: Any) -> int:
        """Return roughly how many bytes a value has as JSON.

        Raises TaskError for one that is too large, nested too deeply or no text at all: before
        anything is emitted, if the value was just made.
        """
        if type(value) in _SCALARS:
            return 8
        known = self._sizes.get(id(value))
        if known is None:
            known = self._measure(value)
            if known > MAX_VALUE:
                raise problem("runtime", f"a value is larger than {MAX_VALUE >> 20} MiB")
            self._sizes[id(value)] = known
        return known

    def _measure(self, value: Any) -> int:
        """Encode with some levels around it, as deep as it may stand in events and states."""
        try:
            size = len(_encode(value))
        except (RecursionError, UnicodeEncodeError):
            size = SHALLOW
        if size < SHALLOW:
            return size
        shell: Any = value
        for _ in range(LEVELS_ABOVE):
            shell = [shell]
        try:
            return len(_encode(shell)) - 2 * LEVELS_ABOVE
        except RecursionError as error:
            raise problem("runtime", "a value is nested too deeply") from error
        except UnicodeEncodeError as error:
            raise problem("runtime", "a text is not valid Unicode") from error

    def refuse_secrets(self, value: Any, what: str) -> None:
        """Raise TaskError if something that leaves the execution for good holds a secret."""
        grant = self.state.secrets
        if grant is not None and occurs(grant.nonce, value):
            raise problem("authorization", f"{what} cannot carry a secret")

    # --- expressions --------------------------------------------------------------------------

    def task(self, reference: str) -> Task:
        """Return the definition of a task."""
        return self.env.workflow.tasks[reference]

    def step(self, frame: Frame) -> Step:
        """Return a running task as its expressions see it."""
        step = Step(
            self.task(frame.reference), frame.parent, frame.input, frame.source, frame.started_at
        )
        step.input = frame.effective_input
        return step

    def workflow_descriptor(self) -> dict[str, Any]:
        """Return ``$workflow``."""
        if self._descriptor is None:
            state = self.state
            self._descriptor = {
                "id": state.id,
                "definition": self.env.workflow.value,
                "input": state.input,
                "startedAt": moment(state.started_at or self.now),
                "tags": state.tags,
            }
        return self._descriptor

    def evaluate(
        self,
        program: Program,
        dot: Any,
        step: Step | None,
        stage: frozenset[str] = DEFINITION,
        local: Mapping[str, Any] | None = None,
    ) -> Any:
        """Evaluate for a task; raises TaskError or NeedsEvaluation."""
        names = program.variables
        variables = bind(self, names, stage, step, local) if names else _NOTHING
        try:
            return program.evaluate(dot, variables, self.answers)
        except ExpressionError as error:
            raise problem("expression", str(error)) from error

    def holds(
        self,
        program: Program | None,
        dot: Any,
        step: Step,
        stage: frozenset[str] = DEFINITION,
        local: Mapping[str, Any] | None = None,
    ) -> bool:
        """Tell whether a condition is there and true: anything but ``false`` and ``null``."""
        if program is None:
            return False
        value = self.evaluate(program, dot, step, stage, local)
        return value is not None and value is not False

    def duration(
        self, spec: DurationSpec, step: Step | None, stage: frozenset[str] = DEFINITION
    ) -> Duration:
        """Return a duration of the definition."""
        if spec.constant is not None:
            return spec.constant
        if spec.program is None:
            raise problem("configuration", spec.problem)
        dot = self.state.input if step is None else step.input
        try:
            return parse_duration(self.evaluate(spec.program, dot, step, stage))
        except DurationError as error:
            raise problem("expression", str(error)) from error

    # --- data flow ----------------------------------------------------------------------------

    def prepare(self, step: Step) -> None:
        """Validate and transform a task's input, and find out its time limit."""
        task = step.task
        stage = task.input
        if stage.schema is not None:
            self.validate(stage.schema, step.raw, "input")
        if stage.transform is not None:
            step.input = self.evaluate(stage.transform, step.raw, step, BEFORE)
            self.size_of(step.input)
        if task.timeout is not None:
            step.timeout = self.duration(task.timeout, step).after(self.now)

    def conclude(self, step: Step, raw_output: Any) -> Outcome:
        """Transform and validate a task's output and what it exports."""
        task = step.task
        step.raw_output = step.output = raw_output
        if task.output.transform is not None:
            step.output = self.evaluate(task.output.transform, raw_output, step)
        if task.output.schema is not None:
            self.validate(task.output.schema, step.output, "output")
        context = UNSET
        if task.export.transform is not None:
            context = self.evaluate(task.export.transform, step.output, step, EXPORT)
        if task.export.schema is not None:
            exported = self.state.context if context is UNSET else context
            self.validate(task.export.schema, exported, "context")
        size = self.size_of(step.output)
        if context is not UNSET:
            size += self.size_of(context)
        raw = UNSET if step.output is raw_output else raw_output
        return Outcome(step.output, size, context, raw)

    def validate(self, schema: Schema, value: Any, what: str) -> None:
        """Raise the DSL's validation error if a value does not fit."""
        try:
            complaint = schema.complaint(value)
        except SchemaError as error:
            raise problem("configuration", f"{what} schema: {error}") from error
        if complaint is not None:
            raise problem("validation", f"{what}: {complaint}")

    def workflow_input(self, stage: DataStage) -> Any:
        """Return the workflow's transformed input, UNSET if it is the raw one."""
        raw = self.state.input
        if stage.schema is not None:
            self.validate(stage.schema, raw, "input")
        if stage.transform is None:
            return UNSET
        return self.evaluate(stage.transform, raw, None, WORKFLOW_INPUT)

    def workflow_output(self, stage: DataStage, last: Any) -> Any:
        """Return the workflow's output."""
        output = last
        if stage.transform is not None:
            output = self.evaluate(stage.transform, last, None, WORKFLOW_OUTPUT)
        if stage.schema is not None:
            self.validate(stage.schema, output, "output")
        self.size_of(output)
        return output

    # --- tasks --------------------------------------------------------------------------------

    def start(self, step: Step, members: dict[str, Any] | None = None) -> int:
        """Record that a task is created and started; return its step number."""
        task = step.task
        number = self.emit(
            types.TASK_CREATED,
            {"workflow": self.name, "task": task.reference, "createdAt": self.time},
        )
        data: dict[str, Any] = {
            "workflow": self.name,
            "task": task.reference,
            "startedAt": self.time,
            "step": number,
            "kind": task.kind,
        }
        self._describe(step, data)
        if members:
            data.update(members)
        self.take_off(data)
        self.emit(types.TASK_STARTED, data)
        if step.timeout is not None:
            self.arm(f"{number}t")
        return number

    def _describe(self, step: Step, data: dict[str, Any]) -> None:
        """Add where a task stands and its input."""
        parent = self.state.frames[step.parent]
        if step.parent != ROOT:
            data["parent"] = step.parent
        if parent.scope:
            data["path"] = parent.scope
        if parent.attempt != 1:
            data["attempt"] = parent.attempt
        size = self.size_of(step.raw)
        # The outputs that a branch needs stand together in no event.
        if size <= INLINE_INPUT or not step.source:
            data["input"] = step.raw
            self.size += size
        else:
            data["inputFrom"] = step.source
        if step.input is not step.raw:
            data["transformed"] = step.input
            self.size += self.size_of(step.input)
        if step.timeout is not None:
            data["timeout"] = step.timeout

    def skip(self, step: Step) -> None:
        """Pass over a task whose condition does not hold: the next in line follows."""
        task = step.task
        data: dict[str, Any] = {"workflow": self.name, "task": task.reference}
        data["skippedAt"] = self.time
        if task.following.next:
            data["next"] = task.following.next
        self.take_off(data)
        self.emit(SKIPPED, data)

    def complete(self, number: int, reference: str, outcome: Outcome, flow: Flow) -> None:
        """Record that a task has completed and where to go on."""
        members: dict[str, Any] = {"output": outcome.output}
        self.size += outcome.size
        if outcome.context is not UNSET:
            members["context"] = outcome.context
        around = self.state.frames[self.state.frames[number].parent].local
        if type(around) is not Extending:
            members |= _directions(flow)
        elif around.phase == "main":
            members["flow"] = _directions(flow)
            if outcome.raw is not UNSET:
                members["raw"] = outcome.raw
                self.size += self.size_of(outcome.raw)
        else:
            members |= _directions(flow)
            if self.task(reference).output.transform is not None:
                members["hands"] = True
        self.release(number)
        self.emit_task(types.TASK_COMPLETED, "completedAt", reference, number, members)

    def go(self, flow: Flow) -> Flow:
        """Return a flow that can be followed; raises TaskError."""
        if flow.problem:
            raise problem("configuration", flow.problem)
        return flow

    def finish(self, step: Step, number: int, raw_output: Any) -> None:
        """Complete a running task with its own ``then``."""
        flow = self.go(step.task.flow)
        outcome = self.conclude(step, raw_output)
        self.complete(number, step.task.reference, outcome, flow)

    def pass_through(
        self, step: Step, raw_output: Any, flow: Flow | None = None
    ) -> tuple[int, Outcome]:
        """Start and complete a task that takes no time."""
        step.timeout = None
        followed = self.go(step.task.flow if flow is None else flow)
        outcome = self.conclude(step, raw_output)
        number = self.start(step)
        self.complete(number, step.task.reference, outcome, followed)
        return number, outcome

    def fault(self, number: int, failure: Failure, attempts: int = 1) -> None:
        """Record that a task has failed; the frame above decides what follows."""
        reference = self.state.frames[number].reference
        if failure.instance is None:
            failure = faults.at(failure, reference)
        self.release(number)
        members: dict[str, Any] = {"error": faults.to_data(failure)}
        if attempts > 1:
            members["attempts"] = attempts
        self.emit_task(types.TASK_FAULTED, "faultedAt", reference, number, members)

    # --- interruptions ------------------------------------------------------------------------

    def arm(self, timer: str) -> None:
        """Ask for a timer that the state knows by now."""
        due = self.state.timers[timer]
        self.effects.append(Arm(execution=self.state.id, timer=timer, due=due))

    def disarm(self, timer: str) -> None:
        """Ask to forget a timer."""
        self.effects.append(Disarm(execution=self.state.id, timer=timer))

    def release(self, number: int) -> None:
        """Withdraw what a frame that ends has open."""
        frame = self.state.frames[number]
        for timer in frame.timers:
            self.disarm(timer)
        if frame.task and frame.task != self.reported:
            self._withdraw(frame.task)

    def _withdraw(self, task: str) -> None:
        state = self.state
        kind = state.tasks[task].kind
        if kind == CHILD:
            cancel = Cancel(id=task, reason=f"its parent {state.id} does not wait for it any more")
            self.effects.append(Tell(execution=state.id, command=cancel))
        else:
            self.effects.append(Withdraw(execution=state.id, task=task, kind=kind))

    def interrupt(self, number: int, keep: frozenset[int] = frozenset()) -> bool:
        """Cancel what runs below a frame, the innermost first; False if some is left to do."""
        below = {number}
        for step, frame in self.state.frames.items():
            if frame.parent in below:
                below.add(step)
        below.discard(number)
        doomed = sorted(below - keep, reverse=True)
        for step in doomed[:INTERRUPTIONS]:
            self._cancel(step)
        return len(doomed) <= INTERRUPTIONS

    def _cancel(self, step: int) -> None:
        reference = self.state.frames[step].reference
        self.release(step)
        self.emit(
            types.TASK_CANCELLED,
            {"workflow": self.name, "task": reference, "cancelledAt": self.time, "step": step},
        )

    # --- the end ------------------------------------------------------------------------------

    def end(self, type: str, when: str, members: dict[str, Any]) -> None:
        """Record the one terminal event of the execution."""
        state = self.state
        self.release(ROOT)
        data: dict[str, Any] = {"name": self.name, when: self.time, **members}
        number = self.emit(type, data)
        settle_status(state)
        self.effects.append(
            Finish(
                execution=state.id,
                status=state.status,
                output=state.output,
                failure=state.failure,
            )
        )
        if state.parent is not None and state.parent_task:
            self.effects.append(Tell(execution=state.id, command=report_to_parent(state)))
        call_hook(self, state.status, number)

    def end_completed(self, output: Any, unwind: Sequence[int] = ()) -> None:
        """Complete the execution, unless its output cannot be made.

        ``unwind`` lists tasks that are still open around the one that ended it all.
        """
        try:
            result = self.workflow_output(self.env.workflow.output, output)
        except TaskError as error:
            self._unwind(unwind, output)
            self.end_faulted(error.failure, "/output")
            return
        self._unwind(unwind, output)
        self.size += self.size_of(result)
        self.end(types.WORKFLOW_COMPLETED, "completedAt", {"output": result})

    def _unwind(self, steps: Sequence[int], output: Any) -> None:
        self.item = None
        for number in steps:
            reference = self.state.frames[number].reference
            self.release(number)
            members = {"output": output, "unwound": True}
            self.size += self.size_of(output)
            self.emit_task(types.TASK_COMPLETED, "completedAt", reference, number, members)

    def end_faulted(self, failure: Failure, instance: str = "") -> None:
        """Fault the execution."""
        if failure.instance is None:
            failure = faults.at(failure, instance)
        self.end(types.WORKFLOW_FAULTED, "faultedAt", {"error": faults.to_data(failure)})

    def task_id(self, reference: str, path: str, attempt: int) -> str:
        """Return the id of one attempt of a step of this execution."""
        return ids.task_id(self.state.id, reference, path, attempt)


def report_to_parent(state: State) -> Report:
    """Return what the parent of an execution that has ended is waiting for."""
    assert state.parent is not None
    failure = state.failure
    if failure is not None:
        # The pointer is one into the child's document.
        where = f"execution {state.id} at {failure.instance}"
        detail = f"{failure.detail} ({where})" if failure.detail else where
        failure = msgspec.structs.replace(failure, detail=detail, instance=None)
    elif state.status != "completed":
        failure = faults.standard("runtime", f"execution {state.id} was {state.status}")
    return Report(id=state.parent, task=state.parent_task, output=state.output, failure=failure)
