"""The command line that does the same, so that what was clicked can be scripted."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq_tui.actions import Item


def equal_command(view: str, items: Sequence[Item], action: str = "") -> str:
    """Return the ``flunq`` command for what is selected, or for an action on it."""
    ids = [item.id for item in items]
    if action and items and items[0].kind == "letter":
        verb = {"delete": "drop"}.get(action, action)
        return shlex.join(["flunq", "dlq", verb, *ids])
    if action in ("cancel", "suspend", "resume", "delete", "retry", "fork", "rewind"):
        return shlex.join(["flunq", action, *ids])
    if not items:
        return "flunq list"
    kind = items[0].kind
    if kind == "workflow":
        return shlex.join(["flunq", "workflows", "show", ids[0]])
    if kind == "schedule":
        return shlex.join(["flunq", "schedules", "show", ids[0]])
    if kind == "letter":
        return shlex.join(["flunq", "dlq", "show", ids[0]])
    if kind == "event":
        return shlex.join(["flunq", "tail", ids[0]])
    if kind == "execution":
        return shlex.join(["flunq", "history" if view == "execution" else "get", ids[0]])
    return "flunq logs -f" if kind == "log" else "flunq status"
