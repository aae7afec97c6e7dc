"""``do``: tasks one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class SequenceHandler(Handler):
    """Runs the subtasks; the last one's output is its own."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Start the first subtask."""
        first = step.task.spec.first
        if first:
            turn.start(step, {"next": first})
        else:
            turn.pass_through(step, step.input)
