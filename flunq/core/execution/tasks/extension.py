"""Extensions: tasks before and after those that ``use.extensions`` extends.

An extension is a frame around the task: it runs ``before``, then the task itself, then ``after``.
The first extension of the document is the outermost. What ``before`` and ``after`` put out is
dropped, so that a log does not change what it watches, unless the last of their tasks says with
``output.as`` that it hands something on: to the task as its input, or to the world as its output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.document.model import Flow
from flunq.core.execution import faults
from flunq.core.execution.faults import TaskError
from flunq.core.execution.fold import EXTENDED
from flunq.core.execution.state import ROOT, Extending
from flunq.core.execution.tasks.base import Handler
from flunq.core.execution.turn import Outcome
from flunq.core.execution.variables import BEFORE, Step, extended_descriptor

if TYPE_CHECKING:
    from flunq.core.document.model import Extension
    from flunq.core.execution.state import Frame, Return
    from flunq.core.execution.turn import Turn


class ExtensionHandler(Handler):
    """Wraps the tasks of an extension around a task."""

    def interpose(self, turn: Turn, step: Step) -> bool:
        """Start the next extension of a task instead of the task; False if there is none."""
        names = step.task.extensions
        for level in range(_level(turn, step), len(names)):
            if self._applies(turn, step, names[level]):
                self._start(turn, step, level)
                return True
        return False

    def returned(self, turn: Turn, number: int, frame: Frame, item: Return) -> None:
        """Go on with the task, with what comes after it, or complete."""
        local = frame.local
        assert type(local) is Extending
        spec: Extension = turn.task(frame.reference).spec
        if item.leave:
            self._leave(turn, number, frame, item.output)
        elif local.phase == "before":
            self._go_on(turn, number, frame, "main", local.target)
        elif local.phase == "main" and spec.after:
            self._go_on(turn, number, frame, "after", spec.after)
        else:
            kept = local.phase == "main" or local.hands
            output = item.output if kept else local.output
            outcome = Outcome(output, turn.size_of(output), raw=local.raw)
            turn.complete(number, frame.reference, outcome, Flow(**local.flow))

    def _applies(self, turn: Turn, step: Step, name: str) -> bool:
        when = turn.task(name).spec.when
        if when is None:
            return True
        try:
            local = {"task": extended_descriptor(step)} if "task" in when.variables else None
            return turn.holds(when, step.raw, step, BEFORE, local)
        except TaskError as error:
            raise TaskError(faults.at(error.failure, f"{name}/when")) from error

    def _start(self, turn: Turn, step: Step, level: int) -> None:
        task = turn.task(step.task.extensions[level])
        target = step.task.reference
        around = Step(task, step.parent, step.raw, step.source, step.started_at)
        members: dict[str, Any] = {"target": target, "next": task.spec.before or target}
        if level:
            members["level"] = level
        if not task.spec.before:
            members["main"] = True
        turn.start(around, members)

    def _go_on(self, turn: Turn, number: int, frame: Frame, phase: str, following: str) -> None:
        members = {"phase": phase, "next": following}
        turn.emit_task(EXTENDED, "extendedAt", frame.reference, number, members)

    def _leave(self, turn: Turn, number: int, frame: Frame, output: Any) -> None:
        """Take an output in place of the task's raw one."""
        assert type(frame.local) is Extending
        step = _target(turn, frame, frame.local)
        flow = turn.go(step.task.flow)
        turn.complete(number, frame.reference, turn.conclude(step, output), flow)


def _level(turn: Turn, step: Step) -> int:
    """Return which of its extensions a task has to pass first."""
    local = turn.state.frames[step.parent].local
    if type(local) is Extending and local.phase == "main":
        return local.level + 1
    return len(step.task.extensions) if _is_extension(turn, step.parent) else 0


def _is_extension(turn: Turn, number: int) -> bool:
    """Tell whether a frame is part of an extension, which is not extended itself."""
    while number != ROOT:
        frame = turn.state.frames[number]
        if type(frame.local) is Extending and frame.local.phase != "main":
            return True
        number = frame.parent
    return False


def is_entered(turn: Turn, step: Step) -> bool:
    """Tell whether a task is inside of an extension of its own, so that its ``if`` held."""
    local = turn.state.frames[step.parent].local
    return type(local) is Extending and local.phase == "main"


def _target(turn: Turn, frame: Frame, local: Extending) -> Step:
    task = turn.task(local.target)
    return Step(task, frame.parent, frame.input, frame.source, frame.started_at)


EXTENSION = ExtensionHandler()
