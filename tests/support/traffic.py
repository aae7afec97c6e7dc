"""Nodes with gates in virtual time, and a target that fails when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from flunq.core.execution.effects import Dispatch
from flunq.core.traffic import Traffic
from flunq.log.memory import MemoryDatabase, MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.sdk.executor import Call, Executor, TaskError
from flunq.services.executor.pool import ExecutorPool
from flunq.services.executor.shares import PoolShares
from flunq.services.flow.board import FlowBoard
from flunq.services.flow.desk import FlowDesk
from flunq.services.flow.gate import FlowGate
from flunq.testing.clock import VirtualClock, VirtualLoop, run_virtually
from flunq.testing.faults import Wire
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.core.execution.commands import Report
    from flunq.sdk.context import TaskContext

T = TypeVar("T")
TARGET = "function:x"


class Target(Executor):
    """Answers after a while, or says that it is broken."""

    kinds = (TARGET,)

    def __init__(self, clock: VirtualClock) -> None:
        self.broken = False
        self.takes = 0.01
        self.running = 0
        self.most = 0
        self.times: list[int] = []
        self._clock = clock

    async def execute(self, call: Call, context: TaskContext) -> Any:
        self.times.append(self._clock.now())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await elapse(self.takes)
        finally:
            self.running -= 1
        if self.broken:
            raise TaskError("communication", 503)
        return call.task


class Bench:
    """Some nodes that share what nodes share."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock = VirtualClock(loop)
        self.target = Target(self.clock)
        self.reports: dict[str, Report] = {}
        self.gates: list[FlowGate] = []
        self.running: list[asyncio.Task[None]] = []
        self.wire = Wire(loop, self.clock.now, Random(7))
        self.settings = StreamSettings(url="memory://simulation", name="test", ack_wait=5.0)
        self.stream = MemoryEventStream(self.settings, self.wire)
        self.store = MemoryDatabase(self.settings, self.wire)
        self.desk = FlowDesk(self.board("desk"), self.stream, self.store)

    def board(self, node: str) -> FlowBoard:
        """Return what a node shares with the others."""
        return FlowBoard("default", self.stream, self.store, self.clock, node=node)

    async def open(self, stack: AsyncExitStack, nodes: int, capacity: int) -> None:
        """Let the nodes work."""
        await self.stream.ensure(1)
        await self.store.ensure()
        await stack.enter_async_context(self.stream)
        await stack.enter_async_context(self.store)
        for number in range(nodes):
            made = ExecutorPool([self.target], capacity=capacity, clock=self.clock, watched=False)
            pool = await stack.enter_async_context(made)
            gate = FlowGate(PoolShares(pool).share("default"), self.board(f"n{number}"))
            self.gates.append(gate)
            self.running.append(asyncio.get_running_loop().create_task(gate.run(self.stream)))
        await elapse(0.1)

    def submit(self, task: str, node: int = 0, *, attempt: int = 1, **traffic: Any) -> bool:
        """Hand a task to a node."""
        dispatch = Dispatch(
            execution="e1", task=task, kind=TARGET, reference="/do/0/x", key="k", attempt=attempt,
            arguments={}, workflow="t/w", traffic=Traffic(**traffic),
        )  # fmt: skip
        return self.gates[node].submit(dispatch, self.report)

    def report(self, report: Report) -> None:
        """Note an outcome."""
        self.reports[report.task] = report

    async def ended(self, count: int) -> None:
        """Wait until so many tasks have an outcome."""
        while len(self.reports) < count:
            await elapse(0.01)


def on_bench(
    situation: Callable[[Bench], Awaitable[T]], *, nodes: int = 1, capacity: int = 100
) -> T:
    """Run a situation in virtual time."""
    loop = VirtualLoop(patience=2_000_000)
    bench = Bench(loop)

    async def run() -> T:
        async with AsyncExitStack() as stack:
            await bench.open(stack, nodes, capacity)
            result = await situation(bench)
            for task in bench.running:
                task.cancel()
            await asyncio.gather(*bench.running, return_exceptions=True)
            return result

    return run_virtually(run(), loop)
