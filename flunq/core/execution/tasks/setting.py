"""``set``: a new value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class SetHandler(Handler):
    """Replaces the data by the evaluated value."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate and complete."""
        turn.pass_through(step, turn.evaluate(step.task.spec.value, step.input, step))
