"""What the owners of one process share."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

import msgspec

from flunq.core.retention import FOR_EVER, Retention
from flunq.services.flow.board import FlowBoard
from flunq.services.flow.pauses import Pauses
from flunq.services.flow.pausing import Pausing
from flunq.services.flow.tally import Tally
from flunq.services.tenants.quota import Quota
from flunq.services.worker.places import PlaceBook
from flunq.services.worker.post import Post
from flunq.services.worker.suspects import Trials

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from flunq.core.execution.effects import Dispatch
    from flunq.core.expressions.engine import ExpressionEngine
    from flunq.log.ports import Database, EventStream
    from flunq.services.clock import Clock
    from flunq.services.courier import Courier
    from flunq.services.worker.definitions import Definitions


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the partitions' owners."""

    tenant: str = "default"
    partitions: int = 8
    node: str = "node-1"
    incarnation: str = "0"
    blob_threshold: int = 256 * 1024
    checkpoint_seconds: float = 10.0
    checkpoint_bytes: int = 8 * 1024 * 1024
    sweep_seconds: float = 5.0
    hibernate_seconds: float = 5.0
    commits_in_flight: int = 4
    handover_seconds: float = 5.0
    max_buffered: int = 8 * 1024 * 1024
    trim_seconds: float = 30.0
    tracing: bool = False
    """Whether executions that belong to no trace begin one."""
    retention: Retention = FOR_EVER
    """How long ended executions are kept whose workflow does not say it."""
    retention_seconds: float = 30.0
    """How often it is looked for what may go."""

    @property
    def writer(self) -> str:
        """Return this process's name for ever: node and incarnation."""
        return f"{self.node}#{self.incarnation}"


class Dispatcher(Protocol):
    """How the owners reach executors."""

    def takes(self, kind: str) -> bool:
        """Tell whether this process runs such tasks and has room for one more."""
        ...

    def submit(self, dispatch: Dispatch) -> None:
        """Run a task in this process."""
        ...

    async def queue(self, dispatch: Dispatch) -> None:
        """Publish a task for any executor; returns when it is stored."""
        ...

    async def withdraw(self, execution: str, task: str, kind: str, *, ended: bool) -> None:
        """Stop a task wherever it is; ``ended`` tells that no other of its execution is open."""
        ...

    def withdraw_here(self, task: str) -> bool:
        """Stop a task if this process runs it; tell whether it did."""
        ...

    def reported(self, task: str) -> None:
        """Note that a task's outcome is durable."""
        ...

    def report_again(self) -> None:
        """Send outcomes again whose receipt nobody confirmed."""
        ...

    def held(self, tasks: Iterable[str]) -> set[str]:
        """Return those tasks that this process runs or has not yet reported."""
        ...

    async def held_by(self, writer: str, tasks: Sequence[str]) -> Container[str] | None:
        """Ask another process which of these tasks it may hold; None if it is dead."""
        ...


class WorkerContext:
    """Everything an owner needs from its process."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        stream: EventStream,
        database: Database,
        clock: Clock,
        definitions: Definitions,
        dispatcher: Dispatcher,
        engine: ExpressionEngine,
        courier: Courier,
        quota: Quota | None = None,
    ) -> None:
        self.settings = settings
        self.stream = stream
        self.database = database
        self.clock = clock
        self.definitions = definitions
        self.dispatcher = dispatcher
        self.engine = engine
        self.courier = courier
        self.quota = quota or Quota()
        self.commit_turn = asyncio.Semaphore(settings.commits_in_flight)
        self.lapses = 0
        """How often other nodes may have thought that this one was dead."""
        self.certain_until = math.inf
        """Loop time up to which none of them can think so."""
        self.trials = Trials()
        self.places = PlaceBook()
        self.post = Post(stream.requests, database.blobs.put)
        self.pauses = Pauses(database.definitions, settings.tenant)
        self.tally = self._make_tally()

    def _make_tally(self) -> Tally:
        settings, stream = self.settings, self.stream
        board = FlowBoard(settings.tenant, stream, self.database, self.clock, node=settings.node)
        pausing = Pausing(board, self.pauses, stream)
        return Tally(pausing, self.pauses, stream, self.database, board, settings.partitions)
