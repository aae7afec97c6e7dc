"""Simulated machines: production nodes in virtual time that can crash, freeze, stop and join."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.engines.jq_inline import InlineEngine
from flunq.log.memory import MemoryDatabase, MemoryEventStream
from flunq.log.ports import StreamGoneError
from flunq.log.select import StreamSettings
from flunq.services.executor.pool import ExecutorPool
from flunq.services.node import Node, NodeSettings
from flunq.testing.clock import Process, VirtualClock, VirtualLoop
from flunq.testing.ledger import Ledger, LedgerExecutor

if TYPE_CHECKING:
    from flunq.services.worker.context import WorkerSettings
    from flunq.testing.faults import Wire

RESTART_SECONDS = 0.3
"""After this long a supervisor starts a process again that ended by itself."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's cluster looks like."""

    machines: int = 2
    partitions: int = 2
    capacity: int = 64
    lease_ttl: float = 3.0
    blob_threshold: int = 256 * 1024
    checkpoint_seconds: float = 2.0
    checkpoint_bytes: int = 8 * 1024 * 1024
    hibernate_seconds: float = 1.0
    sweep_seconds: float = 1.0
    trim_seconds: float = 2.0
    commits_in_flight: int = 2
    handover_seconds: float = 5.0


class _SimulatedNode(Node):
    """A node with the settings that are constants in production."""

    def __init__(self, shape: Shape, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._shape = shape

    def _worker_settings(self) -> WorkerSettings:
        shape = self._shape
        return msgspec.structs.replace(
            super()._worker_settings(),
            sweep_seconds=shape.sweep_seconds,
            trim_seconds=shape.trim_seconds,
            checkpoint_bytes=shape.checkpoint_bytes,
            commits_in_flight=shape.commits_in_flight,
            handover_seconds=shape.handover_seconds,
        )


class Machine:
    """One node by name, through all its lives."""

    def __init__(self, cluster: Cluster, name: str, roles: tuple[str, ...]) -> None:
        self.name = name
        self.roles = roles
        self.lives = 0
        self.process: Process | None = None
        self.node: Node | None = None
        self._cluster = cluster
        self._stream: MemoryEventStream | None = None
        self._stop: asyncio.Event | None = None
        self._main: asyncio.Task[None] | None = None
        self._back_after: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether a process of this name lives."""
        return self.process is not None and self.process.alive

    def start(self) -> None:
        """Begin a new life."""
        if self.is_up:
            return
        self.lives += 1
        incarnation = f"life{self.lives}"
        process = self.process = Process(f"{self.name}#{incarnation}")
        self._cluster.wire.note(f"{process.name} starts")
        loop = self._cluster.loop
        main = loop.create_task(self._live(process, incarnation), context=process.enter())
        self._main = main
        self._cluster.watch(self._supervise(process, main))

    def crash(self) -> None:
        """End it as kill -9 does: nothing that it does from here on has an effect."""
        process = self.process
        if process is None or not process.alive:
            return
        self._cluster.wire.note(f"{process.name} is killed")
        process.alive = False
        process.killed = True
        if self._stream is not None:
            self._stream.lose("killed")
        process.kill(self._cluster.loop)

    def freeze(self) -> None:
        """Stop it where it stands, as SIGSTOP does."""
        if self.process is not None and self.process.alive:
            self._cluster.wire.note(f"{self.process.name} freezes")
            self.process.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        if self.process is not None and self.process.frozen:
            self._cluster.wire.note(f"{self.process.name} thaws")
            self.process.thaw(self._cluster.loop)

    def ask_to_stop(self, *, back_after: float | None = None) -> None:
        """Begin a graceful stop; perhaps it is started again so long after its end."""
        self._back_after = back_after
        if self._stop is not None and self.is_up:
            self._cluster.wire.note(f"{self.name} is asked to stop")
            self._stop.set()

    async def stopped(self) -> None:
        """Wait until the process has ended."""
        if self._main is not None:
            await asyncio.wait([self._main])

    async def _live(self, process: Process, incarnation: str) -> None:
        cluster = self._cluster
        shape = cluster.shape
        settings = StreamSettings(
            url="memory://simulation", name=process.name, lease_ttl=shape.lease_ttl, ack_wait=5.0
        )
        stream = self._stream = MemoryEventStream(settings, cluster.wire)
        store = MemoryDatabase(settings, cluster.wire)
        self._stop = stop = asyncio.Event()
        executors = [LedgerExecutor(cluster.ledger)] if "executor" in self.roles else []
        node_settings = NodeSettings(
            nats_url=settings.url,
            partitions=shape.partitions,
            node=self.name,
            capacity=shape.capacity,
            roles=self.roles,
            lease_ttl=shape.lease_ttl,
            blob_threshold=shape.blob_threshold,
            checkpoint_seconds=shape.checkpoint_seconds,
            hibernate_seconds=shape.hibernate_seconds,
            drain_timeout=4.0,
        )
        clock = cluster.clock
        pool = ExecutorPool(
            executors, capacity=shape.capacity, node=self.name, clock=clock, watched=False
        )
        async with stream, store, pool:
            node = self.node = _SimulatedNode(
                shape, node_settings, stream, store, clock, incarnation=incarnation
            )
            await node.serve(pool, InlineEngine(), lambda: None, stop)

    async def _supervise(self, process: Process, main: asyncio.Task[None]) -> None:
        await asyncio.wait([main])
        if not process.alive:
            return
        error = None if main.cancelled() else main.exception()
        process.alive = False
        process.kill(self._cluster.loop)
        if error is None:
            self._cluster.wire.note(f"{process.name} ended")
            if self._back_after is not None:
                self._cluster.wire.later(self._back_after, self.start)
            return
        self._cluster.wire.note(f"{process.name} died: {_plainly(error)}")
        if not _may_die_of(error):
            self._cluster.problems.append(f"{process.name} died: {_plainly(error)}")
            self._cluster.errors.append(error)
        await asyncio.sleep(RESTART_SECONDS)
        self.start()


class Cluster:
    """All machines and what they share."""

    def __init__(self, loop: VirtualLoop, wire: Wire, shape: Shape, seed: int) -> None:
        self.loop = loop
        self.wire = wire
        self.shape = shape
        self.clock = VirtualClock(loop)
        self.ledger = Ledger(seed, self.clock.now, lambda: len(wire.journal.archive))
        self.machines: dict[str, Machine] = {}
        self.problems: list[str] = []
        """What must not happen, and did."""
        self.errors: list[BaseException] = []
        self.stopping_at = float("inf")
        """When all were told to stop for good (seconds since the epoch)."""
        self._watching: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Create streams and buckets, as ``flunq up`` does before the nodes start."""
        settings = StreamSettings(url="memory://simulation", name="setup", ack_wait=5.0)
        await MemoryEventStream(settings, self.wire).ensure(self.shape.partitions)
        await MemoryDatabase(settings, self.wire).ensure()

    def add(self, name: str, roles: tuple[str, ...] = ("worker", "executor")) -> Machine:
        """Add a machine and start it."""
        machine = self.machines[name] = Machine(self, name, roles)
        machine.start()
        return machine

    def watch(self, coroutine: Any) -> None:
        """Run something outside of all processes."""
        task = self.loop.create_task(coroutine)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    def heal(self) -> None:
        """Let every machine run."""
        for machine in self.machines.values():
            machine.thaw()
            machine.start()


def _plainly(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_plainly(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _may_die_of(error: BaseException) -> bool:
    """A process may end when a stream vanished: that is a loud stop, not a silent empty one."""
    if isinstance(error, BaseExceptionGroup):
        return all(_may_die_of(inner) for inner in error.exceptions)
    return isinstance(error, StreamGoneError)
