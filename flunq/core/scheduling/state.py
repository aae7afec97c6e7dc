"""What is remembered of a schedule: enough for whoever keeps it next to go on without a gap."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from flunq.core.scheduling.policies import Overrides

KEPT_RUNS = 20
"""Fires that ``flunq schedules show`` can tell about."""

Cause = Literal["time", "after", "event", "trigger", "backfill"]
Outcome = Literal["started", "exists", "refused", "skipped", "missed", "queued"]


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A start that is decided; it is repeated, with this very id, until it is acknowledged."""

    id: str
    at: int
    """When it was due (microseconds)."""
    cause: Cause = "time"
    version: str = ""
    digest: str = ""
    input: Any = {}


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a fire."""

    at: int
    cause: Cause
    outcome: Outcome
    noted_at: int
    id: str = ""
    detail: str = ""
    part_of: str = ""
    """The execution that the start became part of, where its workflow collects starts."""

    @property
    def execution(self) -> str:
        """Return the id of the execution that it led to."""
        return self.part_of or self.id


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that waits for others."""

    slot: int
    """The filter that it met."""
    key: str
    event: Any


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events that belong together and are not complete yet."""

    expected: dict[str, Any] = {}
    held: tuple[Held, ...] = ()
    ended: tuple[int, ...] = ()
    """The filters of ``until`` that were met so far."""


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many fires came to what, ever."""

    started: int = 0
    refused: int = 0
    skipped: int = 0
    missed: int = 0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The last thing that went wrong."""

    at: int
    message: str


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One schedule. Every change of it is stored before anything happens because of it."""

    namespace: str
    name: str
    version: str = ""
    digest: str = ""
    """The definition in force; empty while its registration is not finished."""
    block: dict[str, Any] = {}
    """The document's ``schedule``."""
    settings: Any = None
    """The document's ``metadata.schedule``."""
    overrides: Overrides = Overrides()
    since: int = 0
    """When this block came into force; ``every`` counts from here."""
    last: int = 0
    """Fires up to and including this moment are decided."""
    skip_after: int = 0
    skip_upto: int = 0
    """Fires between these moments, the second included, are skipped as somebody asked for it."""
    paused_at: int | None = None
    reason: str = ""
    pending: tuple[Pending, ...] = ()
    cancels: tuple[str, ...] = ()
    """Executions that have to make room for a later one."""
    running: tuple[str, ...] = ()
    """Executions whose end matters to the overlap policy."""
    queued: Pending | None = None
    due: int | None = None
    """When ``after`` starts the next one."""
    chain: str = ""
    """The execution whose end ``after`` waits for."""
    heard: int = 0
    """Events of the bus up to and including this sequence are decided."""
    groups: tuple[Group, ...] = ()
    counts: Counts = Counts()
    notes: tuple[Note, ...] = ()
    """What the last fires came to, oldest first."""
    problem: Problem | None = None

    @property
    def full_name(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


def noted(state: ScheduleState, *notes: Note) -> tuple[Note, ...]:
    """Return the notes with new ones, without those that are too old."""
    return (*state.notes, *notes)[-KEPT_RUNS:]
