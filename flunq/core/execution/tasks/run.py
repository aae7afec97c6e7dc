"""``run``: a program or a container that an executor runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.tasks.call import CallHandler

if TYPE_CHECKING:
    from flunq.core.document.model import Run
    from flunq.core.execution.state import Frame, Settle
    from flunq.core.execution.turn import Turn


class RunHandler(CallHandler):
    """Dispatches the process; one that nobody awaits is done once it has been started."""

    def settled(self, turn: Turn, number: int, frame: Frame, item: Settle) -> None:
        """Go on with what the process gave, or with the input if it was only started."""
        run: Run = turn.task(frame.reference).spec
        if item.failure is None and not run.awaited:
            turn.finish(turn.step(frame), number, frame.effective_input)
        else:
            super().settled(turn, number, frame, item)
