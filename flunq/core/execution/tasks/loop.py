"""``for``: the same tasks for each item, each iteration fed by the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.faults import problem
from flunq.core.execution.fold import ITERATED
from flunq.core.execution.state import Looping
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.document.model import Loop
    from flunq.core.execution.state import Frame, Return
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class LoopHandler(Handler):
    """Iterates; an ``exit`` in the body ends the iteration."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Evaluate the items once and start the first iteration."""
        loop: Loop = step.task.spec
        items = turn.evaluate(loop.items, step.input, step)
        if not isinstance(items, list):
            raise problem("expression", "for.in must give an array")
        if loop.first and _goes_on(turn, step, items, 0, step.input):
            turn.size += turn.size_of(items)
            turn.start(step, {"items": items, "next": loop.first})
        else:
            turn.pass_through(step, step.input)

    def returned(self, turn: Turn, number: int, frame: Frame, item: Return) -> None:
        """Start the next iteration, or complete."""
        local = frame.local
        assert type(local) is Looping
        step = turn.step(frame)
        index = local.index + 1
        if not _goes_on(turn, step, local.items, index, item.output):
            turn.finish(step, number, item.output)
            return
        members: dict[str, Any] = {"index": index, "next": step.task.spec.first}
        turn.emit_task(ITERATED, "iteratedAt", frame.reference, number, members)


def _goes_on(turn: Turn, step: Step, items: list[Any], index: int, data: Any) -> bool:
    if index >= len(items):
        return False
    loop: Loop = step.task.spec
    if loop.condition is None:
        return True
    return turn.holds(loop.condition, data, step, local={loop.each: items[index], loop.at: index})
