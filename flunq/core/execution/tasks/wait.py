"""``wait``: nothing, for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class WaitHandler(Handler):
    """Passes its input on when the time has come."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Arm a timer."""
        due = turn.duration(step.task.spec.duration, step).after(turn.now)
        number = turn.start(step, {"due": due})
        turn.arm(f"{number}w")
