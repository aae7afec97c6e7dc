"""Waits until a Textual app has nothing left to do, instead of until the processor is calm.

Textual's own pilot sleeps at least 20 ms around every key and then looks at the processor's time,
so that other programs on the machine decide what a test sees.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import textual.app
import textual.pilot
from textual._context import active_app

if TYPE_CHECKING:
    import pytest

_QUIET_ROUNDS = 3
"""What was found by the selector is ready a round later, what that wakes another round later."""
_PAINTINGS = 50
"""A screen that is being closed owes a painting for ever."""


async def nothing_ready() -> None:
    """Return once every task of this loop waits for a clock, a socket or a thread."""
    ready = getattr(asyncio.get_running_loop(), "_ready")  # noqa: B009 - no public name
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        await asyncio.sleep(0)
        quiet = 0 if ready else quiet + 1


async def painted(*_limits: Any) -> None:
    """Return once the app has dealt with everything that was posted, and drawn it."""
    app = active_app.get()
    await nothing_ready()
    for _ in range(_PAINTINGS):
        if app.is_running and app._resize_event is not None:
            app._check_resize()
        elif app.is_running and app.screen_stack and _owes(app.screen):
            app.screen._on_timer_update()
        else:
            return
        await nothing_ready()


def _owes(screen: Any) -> bool:
    return bool(
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )


def settle_without_clock(patch: pytest.MonkeyPatch) -> None:
    """Let the pilot wait for the app alone."""
    patch.setattr(textual.pilot, "wait_for_idle", painted)
    patch.setattr(textual.app, "wait_for_idle", painted)
