"""What a new owner has to ask of the world again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.core.execution.effects import Arm, Effect

if TYPE_CHECKING:
    from flunq.core.execution.state import State


def open_effects(state: State) -> list[Effect]:
    """Return the effects that dispatch every open task and arm every timer once more."""
    effects: list[Effect] = [
        task.dispatch(state.id, name, state.traceparent, state.workflow)
        for name, task in state.tasks.items()
    ]
    effects += [
        Arm(execution=state.id, timer=timer, due=due) for timer, due in state.timers.items()
    ]
    return effects
