"""What somebody may want to change before an execution goes on from one of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq_tui.model.execution import CONTAINERS, ROOT

if TYPE_CHECKING:
    from flunq_tui.model.execution import Execution, Step


_OPEN = ("running", "waiting", "retrying")


def failing_input(execution: Execution) -> Any:
    """Return what the task was given at which the execution ended, or the execution's own input."""
    last = execution.last
    wanted = ("faulted",) if execution.status(last) == "faulted" else _OPEN
    found = [each for each in execution.steps.values() if each.status(last) in wanted]
    leaves = [step for step in found if step.kind not in CONTAINERS]
    newest = max(leaves or found, key=lambda step: step.number, default=None)
    return _input(execution, newest, last)


def next_input(execution: Execution, position: int | None) -> Any:
    """Return the input of what comes after an event; None: that of the execution."""
    if position is None:
        return _input(execution, None, execution.last)
    later = [step for step in execution.steps.values() if step.started > position]
    return _input(
        execution, min(later, key=lambda step: step.started, default=None), execution.last
    )


def _input(execution: Execution, step: Step | None, position: int) -> Any:
    found = execution.input(ROOT if step is None else step.number, position)
    return None if found is msgspec.UNSET else found
