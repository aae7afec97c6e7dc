"""``emit``: publish a CloudEvent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core import ids
from flunq.core.execution.effects import Publish
from flunq.core.execution.faults import problem
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class EmitHandler(Handler):
    """Publishes the event after the commit; the whole event is the task's output.

    The id is that of the step unless the author gives one, so publishing it again after a crash
    is recognised.
    """

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate the event, complete and publish."""
        path = turn.state.frames[step.parent].scope
        key = ids.step_key(turn.state.id, step.task.reference, path)
        event: dict[str, Any] = {"specversion": "1.0", "id": key, "time": turn.time}
        properties = turn.evaluate(step.task.spec.event, step.input, step)
        event.update(_checked(properties))
        turn.pass_through(step, event)
        turn.effects.append(Publish(execution=turn.state.id, id=key, event=event))


def _checked(properties: Any) -> dict[str, Any]:
    if not isinstance(properties, dict):
        raise problem("expression", "the properties of an event must be an object")
    for name in ("source", "type"):
        if not isinstance(properties.get(name), str):
            raise problem("expression", f"the {name} of an event must be a text")
    if "data" in properties:
        return {"datacontenttype": "application/json", **properties}
    return properties
