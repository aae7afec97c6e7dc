"""``call`` of a function that the document defines: its task runs with its own input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.faults import problem
from flunq.core.execution.state import ROOT
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.document.model import FunctionCall
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step

MAX_DEPTH = 100
"""Calls within calls; a function that calls itself must end somewhere."""


class FunctionHandler(Handler):
    """Runs the function's task; its output is the call's."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate the arguments and start the function."""
        spec: FunctionCall = step.task.spec
        if _depth(turn, step) >= MAX_DEPTH:
            raise problem("runtime", f"more than {MAX_DEPTH} function calls within each other")
        arguments = turn.evaluate(spec.arguments, step.input, step)
        members: dict[str, Any] = {"next": spec.target, "with": arguments}
        turn.size += turn.size_of(arguments)
        turn.start(step, members)


def _depth(turn: Turn, step: Step) -> int:
    depth, number = 0, step.parent
    while number != ROOT:
        frame = turn.state.frames[number]
        depth += frame.kind == "call"
        number = frame.parent
    return depth
