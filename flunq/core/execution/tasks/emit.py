"""``emit``: publish a CloudEvent."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from flunq.core import events as types
from flunq.core import ids
from flunq.core.execution.effects import Publish
from flunq.core.execution.faults import problem, too_large
from flunq.core.execution.tasks.base import Handler
from flunq.core.tracing import HEADER, context_for

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step

RESERVED = (types.ENGINE, types.WORKFLOW, types.TASK)
"""Types that begin like this are the engine's own."""
_ATTRIBUTE = re.compile(r"[a-z0-9]+", re.ASCII)
_CONTENT = frozenset({"data", "data_base64"})
_REQUIRED = ("id", "source", "type", "specversion")


class EmitHandler(Handler):
    """Publishes the event after the commit; the whole event is the task's output.

    The id is that of the step unless the author gives one, so publishing it again after a crash
    is recognised.
    """

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate the event, complete and publish."""
        around = turn.state.frames[step.parent]
        key = ids.step_key(turn.state.id, step.task.reference, around.scope)
        event: dict[str, Any] = {"specversion": "1.0", "id": key, "time": turn.time}
        if turn.state.traceparent is not None:
            task = turn.task_id(step.task.reference, around.scope, around.attempt)
            event[HEADER] = context_for(turn.state.traceparent, turn.state.id, task)
        properties = turn.evaluate(step.task.spec.event, step.input, step)
        event.update(_checked(properties))
        turn.refuse_secrets(event, "an event")
        size, limit = turn.size_of(event), turn.env.max_event
        if size > limit:
            raise too_large(f"the event has {size} bytes, more than the {limit} that are allowed")
        turn.pass_through(step, event)
        turn.effects.append(Publish(execution=turn.state.id, id=key, event=event))


def _checked(properties: Any) -> dict[str, Any]:
    if not isinstance(properties, dict):
        raise problem("expression", "the properties of an event must be an object")
    given = {
        name: value
        for name, value in properties.items()
        if value is not None or name == "data"  # an attribute that is null is not there
    }
    for name, value in given.items():
        if name not in _CONTENT:
            _check_attribute(name, value)
    for name in ("source", "type"):
        if name not in given:
            raise problem("expression", f"the {name} of an event must be a text")
    if str(given["type"]).startswith(RESERVED):
        raise problem("authorization", f"only the engine publishes events of type {given['type']}")
    if given.get("specversion", "1.0") != "1.0":
        raise problem("validation", "the specversion of an event is 1.0")
    return _with_content_type(given)


def _check_attribute(name: str, value: Any) -> None:
    if not _ATTRIBUTE.fullmatch(name):
        raise problem("validation", f"{name!r} is not the name of an event attribute (a-z, 0-9)")
    if name in _REQUIRED or name in ("time", "subject", "datacontenttype", "dataschema"):
        if not isinstance(value, str) or not value:
            raise problem("expression", f"the {name} of an event must be a text")
    elif not isinstance(value, (str, int)):
        raise problem("validation", f"the attribute {name} must be a text, integer or boolean")


def _with_content_type(given: dict[str, Any]) -> dict[str, Any]:
    if "data_base64" not in given:
        return {"datacontenttype": "application/json", **given} if "data" in given else given
    if "data" in given:
        raise problem("validation", "an event has either data or data_base64")
    try:
        b64decode(given["data_base64"], validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise problem("validation", "data_base64 of an event must be base64") from error
    return {"datacontenttype": "application/octet-stream", **given}
