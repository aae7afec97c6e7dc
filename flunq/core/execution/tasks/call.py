"""``call``: work that an executor does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core import ids
from flunq.core.execution import uri_template
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.document.model import Call
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class CallHandler(Handler):
    """Dispatches the call and waits for the report."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate the arguments and dispatch."""
        call: Call = step.task.spec
        arguments = turn.evaluate(call.arguments, step.input, step)
        if call.uri_path:
            arguments = _expanded(arguments, call.uri_path, step.input)
        dispatch = self._dispatch(turn, step, call.executor, arguments)
        turn.size += turn.size_of(arguments)
        turn.start(step, {"dispatch": dispatch})
        task = dispatch["id"]
        state = turn.state
        turn.effects.append(state.tasks[task].dispatch(state.id, task, state.traceparent))

    def _dispatch(self, turn: Turn, step: Step, executor: str, arguments: Any) -> dict[str, Any]:
        parent = turn.state.frames[step.parent]
        reference = step.task.reference
        dispatch: dict[str, Any] = {
            "id": turn.task_id(reference, parent.scope, parent.attempt),
            "kind": executor,
            "key": ids.step_key(turn.state.id, reference, parent.scope),
            "arguments": arguments,
        }
        if step.timeout is not None:
            dispatch["deadline"] = step.timeout
        return dispatch


def _expanded(arguments: Any, path: tuple[str, ...], value: Any) -> Any:
    """Return the arguments with the URI template at ``path`` expanded from the task's input."""
    first, *rest = path
    inner = arguments[first]
    changed = _expanded(inner, tuple(rest), value) if rest else uri_template.expand(inner, value)
    return {**arguments, first: changed}
