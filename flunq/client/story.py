"""What an execution's events say of the errors on its way, of its waits and of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core.events import CloudEvent
from flunq.core.execution.fold import CAUGHT, FoldError, fold, micros
from flunq.core.execution.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.core.events import LazyEvent

MOST_ERRORS = 20
_WHAT = {
    types.TASK_FAULTED: "failed",
    types.TASK_RETRIED: "retried",
    CAUGHT: "caught",
    types.WORKFLOW_FAULTED: "ended",
}


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An error on the way."""

    what: str
    """``failed``, ``retried``, ``caught`` or ``ended``."""
    task: str
    at: int
    error: dict[str, Any]
    attempt: int = 1
    """Which attempt it was of the try around it."""


class Story(msgspec.Struct, kw_only=True):
    """What a history says, read once from its beginning."""

    state: State | None = None
    """The state after its last event; None if its beginning is not known any more."""
    errors: list[Seen] = []
    """The newest of them, oldest first: of each what became of it."""
    suspended_at: int | None = None
    last_at: int | None = None
    attempts: dict[str, int] = {}
    """Attempts of each try that was retried."""


async def read_story(events: AsyncIterator[LazyEvent]) -> Story:
    """Read a history."""
    story = Story()
    whole = True
    async for event in events:
        data = event.value()
        story.suspended_at = suspended_since(story.suspended_at, event)
        _note(story, event.type, micros(event.time), data if isinstance(data, dict) else {})
        if whole:
            whole = _fold(story, event, data)
    return story


def suspended_since(before: int | None, event: LazyEvent) -> int | None:
    """Return since when an execution is suspended after an event, None if it is not."""
    if event.type == types.WORKFLOW_SUSPENDED:
        return micros(event.time)
    return None if event.type == types.WORKFLOW_RESUMED else before


def _fold(story: Story, event: LazyEvent, data: Any) -> bool:
    members = {name: getattr(event, name) for name in event.__struct_fields__ if name != "data"}
    try:
        story.state = fold(story.state, CloudEvent(**members, data=data))
    except (FoldError, LookupError, AssertionError):
        story.state = None  # a part of it is gone: what else is known must do
        return False
    return True


def _note(story: Story, type_name: str, at: int, data: dict[str, Any]) -> None:
    story.last_at = at
    what = _WHAT.get(type_name)
    error = data.get("error")
    if what is None or not isinstance(error, dict):
        return
    task = str(data.get("task") or error.get("instance") or "")
    attempt = story.attempts.get(task, 1)
    if what == "retried":
        story.attempts[task] = attempt + 1
    last = story.errors[-1] if story.errors else None
    if last is not None and (last.what, last.at, last.error) == ("failed", at, error):
        del story.errors[-1]  # the same on its way outwards: what became of it says more
    story.errors.append(Seen(what=what, task=task, at=at, error=error, attempt=attempt))
    del story.errors[:-MOST_ERRORS]
