"""Going back in a driven execution: the points of its history, and the commands to go there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.execution.commands import Restore
from flunq.core.execution.fold import fold
from flunq.core.execution.restoring import from_start, to_value
from flunq.core.execution.trail import Trail

if TYPE_CHECKING:
    from flunq.core.execution.state import State
    from flunq.core.execution.trail import Point
    from tests.support.driver import Driver


def trail_of(driver: Driver) -> Trail:
    """Return what the history so far says."""
    trail = Trail()
    for event in driver.events:
        trail.take(event.type, event.seq, event.data)
    return trail


def state_after(driver: Driver, seq: int) -> State:
    """Return the state right after an event; 0 is before the input was looked at."""
    state: State | None = None
    for event in driver.events[: max(seq, 1)]:
        state = fold(state, event)
    assert state is not None
    if not seq:
        from_start(state)
    return state


def restored(driver: Driver, kind: Any, point: Point, **more: Any) -> Restore:
    """Return the command that takes an execution to a point of its history."""
    state = state_after(driver, point.seq)
    members = {
        "id": driver.live.id,
        "kind": kind,
        "workflow": state.workflow,
        "state": to_value(state),
        "at": driver.now,
        "point": point.seq,
        "seq": driver.live.seq,
        "attempt": trail_of(driver).attempt + 1,
        "redo": point.redo,
        "task": point.task,
    }
    return Restore(**{**members, **more})


def retry(driver: Driver, **more: Any) -> Restore:
    """Return the command that lets a failed execution go on."""
    return restored(driver, "retried", trail_of(driver).before_failure(), **more)
