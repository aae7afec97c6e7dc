"""``raise``: an error of the author's making."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.commands import Failure
from flunq.core.execution.faults import problem
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.document.model import Raise
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class RaiseHandler(Handler):
    """Fails with the defined error; its instance is always the task itself."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate the error and fail."""
        spec: Raise = step.task.spec
        if spec.problem:
            raise problem("configuration", spec.problem)
        failure = _failure(turn.evaluate(spec.error, step.input, step))
        turn.fault(turn.start(step), failure)


def _failure(error: Any) -> Failure:
    if not isinstance(error, dict):
        raise problem("configuration", "raise.error is not an error definition")
    status = error.get("status")
    if type(status) is not int:
        raise problem("expression", "the status of a raised error must be an integer")
    type_ = _text(error.get("type"), "type")
    if type_ is None:
        raise problem("expression", "the type of a raised error must be a text")
    return Failure(
        type=type_,
        status=status,
        title=_text(error.get("title"), "title"),
        detail=_text(error.get("detail"), "detail"),
    )


def _text(value: Any, member: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise problem("expression", f"the {member} of a raised error must be a text")
