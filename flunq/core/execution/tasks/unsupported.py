"""Parts of the language that this version cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.faults import problem
from flunq.core.execution.tasks.base import Handler

if TYPE_CHECKING:
    from flunq.core.execution.turn import Turn
    from flunq.core.execution.variables import Step


class UnsupportedHandler(Handler):
    """Fails and says why."""

    def enter(self, turn: Turn, step: Step) -> None:
        """Fail with a configuration error."""
        raise problem("configuration", step.task.spec.detail)
