"""What state an execution can be in, as people read and write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

STATUSES = (
    "pending",
    "running",
    "waiting",
    "suspended",
    "completed",
    "faulted",
    "cancelled",
    "quarantined",
)
ENDED = frozenset({"completed", "faulted", "cancelled", "quarantined"})


def checked_statuses(given: Iterable[str] | str | None) -> tuple[str, ...] | None:
    """Return the statuses that somebody asks for, one or several; raises UsageError.

    A status that does not exist would look as if there were no such executions.
    """
    wanted = (given,) if isinstance(given, str) else tuple(given or ())
    for status in wanted:
        if status not in STATUSES:
            raise UsageError(f"{status!r} is no status", hint=f"one of {', '.join(STATUSES)}")
    return wanted or None
