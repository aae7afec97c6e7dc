"""``run: workflow``: an execution of its own, whose end is this task's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core import ids
from flunq.core.execution.commands import Start, WorkflowRef
from flunq.core.execution.effects import Tell
from flunq.core.execution.faults import problem
from flunq.core.execution.state import CHILD
from flunq.core.execution.tasks.base import Handler
from flunq.core.tracing import context_for

if TYPE_CHECKING:
    from flunq.core.document.model import Child
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step

NEWEST = ("", "latest")


class ChildHandler(Handler):
    """Starts the child and waits for what its owner reports."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Start the child; its id is that of the task, so that a repeat meets it again."""
        spec: Child = step.task.spec
        workflow = _reference(turn.evaluate(spec.workflow, step.input, step))
        given = step.input
        if spec.input is not None:
            given = turn.evaluate(spec.input, step.input, step)
        turn.refuse_secrets(given, "the input of another workflow")
        turn.size += turn.size_of(given)
        parent = turn.state.frames[step.parent]
        reference = step.task.reference
        child = turn.task_id(reference, parent.scope, parent.attempt)
        if spec.awaited:
            key = ids.step_key(turn.state.id, reference, parent.scope)
            arguments = {"workflow": str(workflow), "input": given}
            dispatch: dict[str, Any] = {"id": child, "kind": CHILD, "key": key}
            turn.start(step, {"dispatch": {**dispatch, "arguments": arguments}})
        else:
            turn.pass_through(step, step.input)
        start = Start(
            id=child,
            workflow=workflow,
            input=given,
            parent=turn.state.id,
            parent_task=child if spec.awaited else "",
            traceparent=context_for(turn.state.traceparent, turn.state.id, child),
            priority=turn.state.priority,
        )
        turn.effects.append(Tell(execution=turn.state.id, command=start))


def _reference(named: Any) -> WorkflowRef:
    for member in ("namespace", "name", "version"):
        if not isinstance(named[member], str):
            raise problem("validation", f"run.workflow.{member} must be a text")
    version = "" if named["version"] in NEWEST else named["version"]
    return WorkflowRef(namespace=named["namespace"], name=named["name"], version=version, digest="")
