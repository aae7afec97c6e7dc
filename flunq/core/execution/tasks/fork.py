"""``fork``: branches at the same time, all of them or the fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.faults import TaskError
from flunq.core.execution.state import Forking
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.document.model import Fork
    from flunq.core.execution.commands import Failure
    from flunq.core.execution.state import Frame, Return
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class ForkHandler(Handler):
    """Collects the branches' outputs in the order of their declaration."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Start the branches."""
        fork: Fork = step.task.spec
        if not fork.branches:
            turn.pass_through(step, [])
            return
        members: dict[str, Any] = {"branches": len(fork.branches)}
        if fork.compete:
            members["compete"] = True
        elif fork.needs:
            members["graph"] = [
                {"task": reference, "needs": list(needs)}
                for reference, needs in zip(fork.branches, fork.needs, strict=True)
            ]
        turn.start(step, members)

    def returned(self, turn: Turn, number: int, frame: Frame, item: Return) -> None:
        """Complete with all outputs, or with the winner's."""
        fork = frame.local
        assert type(fork) is Forking
        step = turn.step(frame)
        if not fork.compete:
            outputs = [fork.outputs[branch] for branch in sorted(fork.outputs)]
            turn.finish(step, number, outputs)
            return
        try:
            flow = turn.go(step.task.flow)
            outcome = turn.conclude(step, item.output)
        except TaskError as error:
            self.failed(turn, number, frame, error.failure)
            return
        if turn.interrupt(number):
            turn.complete(number, frame.reference, outcome, flow)

    def failed(self, turn: Turn, number: int, frame: Frame, failure: Failure) -> None:
        """Cancel the other branches and fail."""
        if turn.interrupt(number):
            turn.fault(number, failure)
