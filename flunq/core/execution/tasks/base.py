"""What a handler of a kind of task can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flunq.core.execution.commands import Failure
    from flunq.core.execution.state import Frame, Return, Settle
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class Handler:
    """Reactions of one kind of task.

    Each computes first and emits afterwards. It may raise TaskError before it emits: the task
    then fails with that error.
    """

    def enter(self, turn: Turn, step: Step) -> None:
        """Start the task; its input is prepared."""
        turn.pass_through(step, step.input)

    def returned(self, turn: Turn, number: int, frame: Frame, item: Return) -> None:
        """Go on after the tasks below have ended."""
        turn.finish(turn.step(frame), number, item.output)

    def failed(self, turn: Turn, number: int, frame: Frame, failure: Failure) -> None:
        """Go on after a task below has failed."""
        turn.fault(number, failure)

    def settled(self, turn: Turn, number: int, frame: Frame, item: Settle) -> None:
        """Go on with the report on the task's work."""
        if item.failure is not None:
            turn.fault(number, item.failure)
        else:
            turn.finish(turn.step(frame), number, item.output)

    def woken(self, turn: Turn, number: int, frame: Frame) -> None:
        """Go on after the wait."""
        turn.finish(turn.step(frame), number, frame.effective_input)

    def attempt_expired(self, turn: Turn, number: int, frame: Frame, failure: Failure) -> None:
        """Go on after one try took too long."""
        turn.fault(number, failure)
