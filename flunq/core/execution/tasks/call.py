"""``call``: work that an executor does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from flunq.core import ids
from flunq.core.document.traffic import ask_for
from flunq.core.execution import uri_template
from flunq.core.execution.tasks.base import Handler
from flunq.core.execution.variables import DEFINITION, bind
from flunq.core.traffic import Traffic

if TYPE_CHECKING:
    from flunq.core.document.model import Call, PerMessage, TrafficSpec
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class CallHandler(Handler):
    """Dispatches the call and waits for the report."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate the arguments and dispatch."""
        arguments = self.arguments(turn, step)
        dispatch = self.dispatch(turn, step, step.task.spec.executor, arguments)
        turn.size += turn.size_of(arguments)
        turn.start(step, {"dispatch": dispatch})
        self.send(turn, dispatch["id"])

    def arguments(self, turn: Turn, step: Step) -> dict[str, Any]:
        """Return what the executor is given."""
        call: Call = step.task.spec
        arguments: dict[str, Any] = turn.evaluate(call.arguments, step.input, step)
        if call.uri_path:
            arguments = _expanded(arguments, call.uri_path, step.input)
        if call.per_message is not None:
            arguments = _for_messages(turn, step, call.per_message, arguments)
        return arguments

    def send(self, turn: Turn, task: str) -> None:
        """Hand an open task to an executor."""
        state = turn.state
        opened = state.tasks[task]
        turn.effects.append(opened.dispatch(state.id, task, state.traceparent, state.workflow))

    def dispatch(self, turn: Turn, step: Step, executor: str, arguments: Any) -> dict[str, Any]:
        """Return the dispatch of one attempt as its event records it."""
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
        if step.task.traffic is not None:
            dispatch["traffic"] = _traffic(turn, step, step.task.traffic)
        elif turn.state.priority is not None:
            dispatch["traffic"] = to_builtins(Traffic(priority=turn.state.priority))
        return dispatch


def _traffic(turn: Turn, step: Step, spec: TrafficSpec) -> dict[str, Any]:
    """Return the limits of one attempt with their keys, its breaker and its priority."""
    ref = turn.state.workflow
    name = f"{ref.namespace}/{ref.name}"
    limits = tuple(
        ask_for(each, turn.evaluate(each.key, step.input, step), name, step.task.reference)
        for each in spec.limits
    )
    wanted = turn.state.priority
    priority = spec.priority if wanted is None else wanted
    traffic = Traffic(priority=priority, limits=limits, breaker=spec.breaker)
    value: dict[str, Any] = to_builtins(traffic)
    return value


def _for_messages(
    turn: Turn, step: Step, expressions: PerMessage, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Add the expressions that the executor evaluates, and what they see besides the messages."""
    variables = bind(turn, expressions.variables, DEFINITION, step, None)
    return {**arguments, "expressions": expressions.texts, "variables": variables}


def _expanded(arguments: Any, path: tuple[str, ...], value: Any) -> Any:
    """Return the arguments with the URI template at ``path`` expanded from the task's input."""
    first, *rest = path
    inner = arguments[first]
    changed = _expanded(inner, tuple(rest), value) if rest else uri_template.expand(inner, value)
    return {**arguments, first: changed}
