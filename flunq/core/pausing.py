"""When an execution is suspended because of errors, and which workflows are started about it.

A workflow says it in its metadata::

    document:
      metadata:
        pause: {after: 3, within: PT10M}
        hooks: {paused: tell-operators, faulted: tell-operators:1.0.0}

``after`` so many failed attempts ``within`` that time its execution is suspended until somebody
resumes it. A hook is started once for each such moment.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.core.duration import DurationError, parse_duration
from flunq.core.execution.commands import WorkflowRef

MOST_FAILED = 100
"""Failed attempts that an execution remembers, so that a pause cannot come after more."""
MOMENTS = ("paused", "completed", "faulted", "cancelled")
_KEYS = ("after", "within")


class PauseError(ValueError):
    """A pause or a hook that cannot be used; ``pointer`` says where it stands."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """How many failed attempts suspend an execution."""

    after: int
    within: int | None = None
    """Microseconds; None counts all since the start, or since it was resumed."""
    text: str = ""
    """That time as it was written."""


def pause_of(document: Any) -> Pause | None:
    """Return when executions pause, None if they never do; raises PauseError."""
    value = _metadata(document).get("pause")
    if value is None:
        return None
    where = "/document/metadata/pause"
    if not isinstance(value, dict):
        raise PauseError(where, "pause is an object with after and within")
    for name in value:
        if name not in _KEYS:
            raise PauseError(f"{where}/{name}", f"pause has no {name!r}; it has after and within")
    after = value.get("after")
    if not isinstance(after, int) or isinstance(after, bool) or not 1 <= after <= MOST_FAILED:
        raise PauseError(f"{where}/after", f"after is a number from 1 to {MOST_FAILED}")
    within = value.get("within")
    if within is None:
        return Pause(after=after)
    try:
        length = parse_duration(within).approximate()
    except DurationError as error:
        raise PauseError(f"{where}/within", f"within: {error}") from None
    text = within if isinstance(within, str) else _in_words(within)
    return Pause(after=after, within=length, text=text)


def hooks_of(document: Any) -> dict[str, WorkflowRef]:
    """Return the workflow that each moment starts; raises PauseError."""
    value = _metadata(document).get("hooks")
    if value is None:
        return {}
    where = "/document/metadata/hooks"
    if not isinstance(value, dict):
        raise PauseError(where, "hooks is an object: a workflow for each moment")
    found: dict[str, WorkflowRef] = {}
    for moment, name in value.items():
        place = f"{where}/{moment}"
        if moment not in MOMENTS:
            raise PauseError(place, f"there is no hook {moment!r}; there are {', '.join(MOMENTS)}")
        if not isinstance(name, str) or not name.strip("/:"):
            raise PauseError(place, "a hook is the name of a workflow")
        found[moment] = _reference(name)
    return found


def _metadata(document: Any) -> dict[str, Any]:
    head = document.get("document") if isinstance(document, dict) else None
    metadata = head.get("metadata") if isinstance(head, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _reference(text: str) -> WorkflowRef:
    rest, _, version = text.partition(":")
    namespace, _, name = rest.rpartition("/")
    return WorkflowRef(namespace=namespace, name=name, version=version, digest="")


def _in_words(within: Any) -> str:
    return " ".join(f"{amount} {unit}" for unit, amount in within.items())
