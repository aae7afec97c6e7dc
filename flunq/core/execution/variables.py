"""What runtime expressions can see: the arguments of the DSL, built only when referenced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.events import timestamp
from flunq.core.execution import faults
from flunq.core.execution.authorization import authorization
from flunq.core.execution.state import ROOT, Extending, Frame, Listening, Looping, Trying
from flunq.core.markers import VARIABLE, marker, name_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flunq.core.document.model import Task
    from flunq.core.execution.turn import Turn

WORKFLOW_INPUT = frozenset({"workflow", "runtime"})
WORKFLOW_OUTPUT = WORKFLOW_INPUT | {"context"}
BEFORE = WORKFLOW_OUTPUT | {"task"}
"""``if`` and ``input.from`` of a task."""
DEFINITION = BEFORE | {"input", "authorization"}
"""The definition of a task, and its ``output.as``."""
EXPORT = DEFINITION | {"output"}

UNSET = msgspec.UNSET


class Step:
    """A task instance as its expressions see it."""

    __slots__ = (
        "input",
        "output",
        "parent",
        "raw",
        "raw_output",
        "source",
        "started_at",
        "task",
        "timeout",
    )

    def __init__(self, task: Task, parent: int, raw: Any, source: int, started_at: int) -> None:
        self.task = task
        self.parent = parent
        self.raw = raw
        """Raw input."""
        self.source = source
        self.started_at = started_at
        self.input: Any = raw
        """Transformed input."""
        self.raw_output: Any = UNSET
        self.output: Any = None
        """Transformed output."""
        self.timeout: int | None = None
        """When its time limit runs out."""


def moment(micros: int) -> dict[str, Any]:
    """Return a point in time as the DSL describes it."""
    milliseconds = micros // 1000
    return {
        "iso8601": timestamp(micros),
        "epoch": {"seconds": milliseconds // 1000, "milliseconds": milliseconds},
    }


def bind(
    turn: Turn,
    names: Iterable[str],
    stage: frozenset[str],
    step: Step | None,
    local: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the values of those variables that exist; the others are the expression's error."""
    bound: dict[str, Any] = {}
    for name in names:
        if local is not None and name in local:
            bound[name] = local[name]
        elif name in stage:
            bound[name] = _argument(turn, name, step)
        elif name.startswith(VARIABLE):
            bound[name] = _secret(turn, name.removeprefix(VARIABLE))
        elif step is not None:
            value = _in_scope(turn, name, step.parent)
            if value is not UNSET:
                bound[name] = value
    return bound


def _argument(turn: Turn, name: str, step: Step | None) -> Any:
    if name == "context":
        return turn.state.context
    if name == "workflow":
        return turn.workflow_descriptor()
    if name == "runtime":
        return turn.env.runtime
    if step is None:
        return None
    if name == "authorization":
        return authorization(turn, step)
    if name == "task":
        return _extended(turn, step) or _task_descriptor(step)
    return step.input if name == "input" else step.output


def _secret(turn: Turn, path: str) -> str:
    """Return what stands for a secret value: only executors ever see the value itself."""
    grant = turn.state.secrets
    name = name_in(path)
    if grant is None or name not in grant.names:
        raise faults.problem("authorization", f"the secret {name!r} is not in use.secrets")
    return marker(grant.nonce, path)


def _task_descriptor(step: Step) -> dict[str, Any]:
    descriptor = {
        "name": step.task.name,
        "reference": step.task.reference,
        "definition": step.task.definition,
        "input": step.raw,
        "startedAt": moment(step.started_at),
    }
    if step.raw_output is not UNSET:
        descriptor["output"] = step.raw_output
    return descriptor


def extended_descriptor(step: Step) -> dict[str, Any]:
    """Return ``$task`` for extensions: with the members of the task's definition as well."""
    return {**step.task.definition, **_task_descriptor(step)}


def _extended(turn: Turn, step: Step) -> dict[str, Any] | None:
    """Return the descriptor of the task that an extension extends, for the extension's tasks."""
    frames = turn.state.frames
    number = step.parent
    while number != ROOT and not _is_function(frames[number]):
        frame = frames[number]
        local = frame.local
        if type(local) is Extending and local.phase != "main":
            task = turn.task(local.target)
            target = Step(task, frame.parent, frame.input, frame.source, frame.started_at)
            if local.phase == "after":
                target.raw_output = local.output if local.raw is UNSET else local.raw
            return extended_descriptor(target)
        number = frame.parent
    return None


def _is_function(frame: Frame) -> bool:
    """Tell whether the tasks below a frame are those of a function, which sees no caller."""
    return frame.kind == "call" and frame.local is None


def _in_scope(turn: Turn, name: str, number: int) -> Any:
    """Look for a loop variable or a caught error in the frames around a task."""
    frames = turn.state.frames
    while number != ROOT:
        frame = frames[number]
        if _is_function(frame):
            break
        value = _of_frame(turn, name, frame)
        if value is not UNSET:
            return value
        number = frame.parent
    return UNSET


def _of_frame(turn: Turn, name: str, frame: Frame) -> Any:
    local = frame.local
    if type(local) is Looping:
        loop = turn.task(frame.reference).spec
        if name == loop.each:
            return local.items[local.index]
        if name == loop.at:
            return local.index
    elif isinstance(local, Listening) and local.busy:
        iterator = turn.task(frame.reference).spec.foreach
        if name == iterator.item:
            return local.consumed[len(local.outputs)]
        if name == iterator.at:
            return len(local.outputs)
    elif (
        type(local) is Trying
        and local.error is not None
        and name == turn.task(frame.reference).spec.catch.variable
    ):
        return faults.to_data(local.error)
    return UNSET
