"""``switch``: the first case that holds says where to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.document.model import Flow, Switch
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class SwitchHandler(Handler):
    """Passes its input on."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Choose a case and complete."""
        turn.pass_through(step, step.input, self._choose(turn, step))

    def _choose(self, turn: Turn, step: Step) -> Flow:
        switch: Switch = step.task.spec
        for case in switch.cases:
            if turn.holds(case.when, step.input, step):
                return case.flow
        return step.task.flow if switch.default is None else switch.default
