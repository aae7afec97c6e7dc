"""Where the views get their data from: a cluster, or a file. Views never touch the network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from flunq.core.events import LazyEvent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flunq.client.reasons import Why
    from flunq.core.letters import Letter
    from flunq.core.protocol import (
        Definition,
        DefinitionText,
        Details,
        LakeView,
        ScheduleView,
        Summary,
    )
    from flunq.services.supervising.statefile import ClusterState
    from flunq.store.query_job import Reply
    from flunq.telemetry.lines import LogLine

Events: TypeAlias = Sequence[LazyEvent]
Hear: TypeAlias = Callable[[Events], None]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """How the source is connected."""

    state: str = "connecting"
    """``connecting``, ``live``, ``lost`` or ``file``."""
    name: str = ""
    """Name of the context, or of the file."""
    address: str = ""
    tenant: str = "default"
    production: bool = False
    since: int = 0
    """When it entered this state (microseconds)."""
    heard: int = 0
    """When the cluster was last heard of (microseconds)."""
    problem: str = ""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A page of executions, newest first, older than ``before``."""

    limit: int = 200
    before: tuple[int, str] | None = None
    statuses: tuple[str, ...] = ()
    workflow: str = ""


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns a partition, as its last commit tells."""

    number: int
    owner: str = ""
    epoch: int = 0
    commits: int = 0
    position: int = 0
    moment: int = 0


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one of those who read a stream."""

    stream: str
    reader: str
    waiting: int = 0
    """Messages that it has not been given yet."""
    unconfirmed: int = 0
    """Messages that it was given and has not confirmed."""


class Source(Protocol):
    """What views ask for, and what actions do."""

    @property
    def link(self) -> Link:
        """How it is connected at this moment."""
        ...

    @property
    def lost_events(self) -> int:
        """Events of bursts that views did not hear of one by one."""
        ...

    @property
    def offline(self) -> bool:
        """Whether it is a file, so that nothing can be changed."""
        ...

    async def open(self) -> None:
        """Connect, or read the file."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...

    def subscribe(self, hear: Hear) -> Callable[[], None]:
        """Hand every event on as it is committed; returns what ends that."""
        ...

    def on_link(self, hear: Callable[[Link], None]) -> None:
        """Tell whoever asks when the connection changes."""
        ...

    async def executions(self, query: Query) -> Sequence[Summary]:
        """Return a page of executions."""
        ...

    async def details(self, execution: str) -> Details:
        """Return one execution without its history."""
        ...

    def history(self, execution: str) -> AsyncIterator[LazyEvent]:
        """Yield the events of an execution so far, in order."""
        ...

    async def workflows(self) -> Sequence[Definition]:
        """Return all registered versions."""
        ...

    async def definition(self, name: str) -> DefinitionText:
        """Return a definition as it was written."""
        ...

    async def schedules(self) -> Sequence[ScheduleView]:
        """Return the schedules in force."""
        ...

    async def partitions(self) -> Sequence[Partition]:
        """Return who owns what."""
        ...

    async def archive(self) -> LakeView | None:
        """Return how the archive is; None where there is none."""
        ...

    async def cluster(self) -> ClusterState | None:
        """Return what the supervisor of a cluster on this machine says; None for others."""
        ...

    async def queues(self) -> Sequence[Queue]:
        """Return what waits for whom, where the server of this machine tells it."""
        ...

    async def logs(self, limit: int) -> Sequence[LogLine]:
        """Return the newest lines of the services' logs."""
        ...

    def query(self, sql: str, limit: int) -> AsyncIterator[Reply]:
        """Run a query: its columns, rows as they come, its end or why there is none."""
        ...

    async def why(self, execution: str) -> Why | None:
        """Return what an execution waits for and why; None where nobody can tell."""
        ...

    async def letters(self) -> Sequence[Letter]:
        """Return the dead letters, newest first."""
        ...

    async def letter(self, name: str) -> Letter:
        """Return a dead letter with its body."""
        ...

    async def act(self, action: str, execution: str, **values: Any) -> str:
        """Cancel, suspend, resume, delete, retry or rewind an execution; returns its status."""
        ...

    async def fork(self, execution: str, *, at: int | None, **values: Any) -> str:
        """Begin a new execution where another one was after an event; returns its id."""
        ...

    async def settle(self, action: str, letter: str, body: str | None = None) -> str:
        """Put a dead letter back (``retry``, changed or not) or ``drop`` it; says what became."""
        ...

    async def start(self, workflow: str, value: Any, execution: str | None) -> str:
        """Start an execution; returns its id."""
        ...

    async def emit(self, events: Iterable[dict[str, Any]]) -> None:
        """Publish CloudEvents."""
        ...

    async def export(self, execution: str, folder: Path) -> Path:
        """Write an execution with its history into a file of a folder; returns the file."""
        ...

    async def steer(self, action: str, schedule: str) -> str:
        """Pause, resume, skip, unskip or trigger one; returns its status or the id of the start."""
        ...
