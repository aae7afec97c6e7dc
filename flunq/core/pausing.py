"""When an execution is suspended because of errors, and which workflows are started about it.

A workflow says it in its metadata::

    document:
      metadata:
        pause: {after: 3, within: PT10M}
        hooks: {paused: tell-operators, faulted: tell-operators:1.0.0}

``after`` so many failed attempts ``within`` that time its execution is suspended until somebody
resumes it; with ``scope: workflow`` the whole workflow is paused, after so many failed attempts and
faulted executions of them all. A hook is started once for each such moment.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from flunq.core.duration import DurationError, parse_duration
from flunq.core.execution.commands import WorkflowRef

MOST_FAILED = 100
"""Failed attempts that an execution remembers, so that a pause cannot come after more."""
MOMENTS = ("paused", "completed", "faulted", "cancelled")
_KEYS = ("after", "within", "scope")
_SCOPES = ("execution", "workflow")


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
    scope: Literal["execution", "workflow"] = "execution"
    """What is paused."""

    def reason(self, count: int) -> str:
        """Return what is said of so many failures."""
        what = "attempt" if self.scope == "execution" else "failure"
        words = f"{count} {what}{'' if count == 1 else 's'}"
        failed = f"{words} failed" if self.scope == "execution" else words
        return failed + (f" within {self.text}" if self.text else "")


def pause_of(document: Any) -> Pause | None:
    """Return when executions pause, None if they never do; raises PauseError."""
    value = _metadata(document).get("pause")
    if value is None:
        return None
    where = "/document/metadata/pause"
    if not isinstance(value, dict):
        raise PauseError(where, "pause is an object with after, within and scope")
    for name in value:
        if name not in _KEYS:
            known = "after, within and scope"
            raise PauseError(f"{where}/{name}", f"pause has no {name!r}; it has {known}")
    after = value.get("after")
    if not isinstance(after, int) or isinstance(after, bool) or not 1 <= after <= MOST_FAILED:
        raise PauseError(f"{where}/after", f"after is a number from 1 to {MOST_FAILED}")
    scope = value.get("scope", "execution")
    if scope not in _SCOPES:
        raise PauseError(f"{where}/scope", f"scope is one of {', '.join(_SCOPES)}")
    within = value.get("within")
    if within is None:
        return Pause(after=after, scope=scope)
    try:
        length = parse_duration(within).approximate()
    except DurationError as error:
        raise PauseError(f"{where}/within", f"within: {error}") from None
    text = within if isinstance(within, str) else _in_words(within)
    return Pause(after=after, within=length, text=text, scope=scope)


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
