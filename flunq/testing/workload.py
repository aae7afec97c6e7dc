"""What the clients of a simulation do: start, wait, steer, repeat, contradict, delete, crash."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client.client import Client
from flunq.core.protocol import Details, Result
from flunq.errors import (
    ConflictError,
    IdConflictError,
    NotFoundError,
    UnavailableError,
    WaitTimeoutError,
)
from flunq.log.memory import MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.testing.clock import Process
from flunq.testing.documents import RUNG, RUNG_N, Expected, Sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.testing.cluster import Cluster

PATIENCE = 15.0
RETRY = 0.2


class Plan(msgspec.Struct, kw_only=True):
    """One execution: what is wanted of it, and what became of that."""

    id: str
    sample: Sample
    n: int
    pad: int = 0
    """Bytes of ballast in the input."""
    at: float
    """Seconds after the run's begin at which it is started."""
    steps: list[tuple[float, str]] = []
    """(seconds after the start, ``cancel`` | ``suspend`` | ``resume`` | ``repeat`` | ``clash``
    | ``look``)."""
    delete: bool = False
    started: bool = False
    """A start was acknowledged."""
    created: int = 0
    """How many starts said that they made it."""
    cancel_sent: bool = False
    cancel_status: str = ""
    """What the acknowledged cancellation said."""
    deleting: bool = False
    """A deletion was sent; it must not be started again."""
    results: list[Result] = []
    details: Details | None = None
    done: bool = False
    next_step: int = 0
    rung: int = 0
    """How often events were sent to it."""

    @property
    def input(self) -> dict[str, Any]:
        """The execution's input."""
        value: dict[str, Any] = {"n": self.n}
        if self.pad:
            value["pad"] = "z" * self.pad
        return value

    @property
    def expected(self) -> Expected:
        """What it may end in when nobody steers it."""
        return self.sample.expected(self.n)


class Customer:
    """A client process that carries out plans; when it crashes, another one begins anew."""

    def __init__(self, cluster: Cluster, name: str, plans: list[Plan]) -> None:
        self.name = name
        self.plans = plans
        self.lives = 0
        self._cluster = cluster
        self._process: Process | None = None
        self._stream: MemoryEventStream | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin a new life; what was acknowledged to an earlier one is asked for again."""
        self.lives += 1
        process = self._process = Process(f"{self.name}#{self.lives}")
        self._cluster.wire.note(f"{process.name} starts")
        loop = self._cluster.loop
        main = self._main = loop.create_task(self._live(process), context=process.enter())
        self._cluster.watch(self._supervise(process, main))

    def crash(self) -> None:
        """End it as kill -9 does."""
        process = self._process
        if process is None or not process.alive:
            return
        self._cluster.wire.note(f"{process.name} is killed")
        process.alive = False
        process.killed = True
        if self._stream is not None:
            self._stream.lose("killed")
        process.kill(self._cluster.loop)
        self.start()

    async def _supervise(self, process: Process, main: asyncio.Task[None]) -> None:
        await asyncio.wait([main])
        if process.alive and not main.cancelled() and (error := main.exception()) is not None:
            self._cluster.problems.append(f"{process.name} failed: {error!r}")
            self._cluster.errors.append(error)

    async def _live(self, process: Process) -> None:
        settings = StreamSettings(url="memory://simulation", name=process.name)
        stream = self._stream = MemoryEventStream(settings, self._cluster.wire)
        async with Client(stream) as client, asyncio.TaskGroup() as group:
            for plan in self.plans:
                if not plan.done:
                    group.create_task(_Errand(self._cluster, client, plan).run())


class _Errand:
    """One plan in the hands of one client."""

    def __init__(self, cluster: Cluster, client: Client, plan: Plan) -> None:
        self._cluster = cluster
        self._client = client
        self._plan = plan

    async def run(self) -> None:
        plan = self._plan
        await self._until(plan.at)
        if not plan.deleting:
            await self._carry_out()
        if plan.delete:
            plan.deleting = True
            await self._insist(self._delete)
        plan.done = True

    async def _carry_out(self) -> None:
        plan = self._plan
        await self._start()
        begun = self._cluster.loop.time()
        if not plan.expected.listens:
            await self._steer_to_its_end(begun)
            return
        ringing = self._cluster.loop.create_task(self._ring())
        try:
            await self._steer_to_its_end(begun)
        finally:
            ringing.cancel()

    async def _ring(self) -> None:
        """Send events to an execution that may listen, ever more slowly."""
        plan = self._plan
        await asyncio.sleep(plan.n % 5 * 0.7)  # long enough for some to be taken out of memory
        while True:
            plan.rung += 1
            event = {
                "id": f"{plan.id}-{plan.rung}",
                "source": "https://example.com/bell",
                "type": RUNG,
                "subject": plan.id,
                "data": {"n": RUNG_N},
            }
            await self._insist(partial(self._client.emit, [event]))
            await asyncio.sleep(min(0.1 * plan.rung, 4.0))

    async def _steer_to_its_end(self, begun: float) -> None:
        plan = self._plan
        while plan.next_step < len(plan.steps):
            after, what = plan.steps[plan.next_step]
            await self._until(begun + after)
            await self._do(what)
            plan.next_step += 1
        await self._result()
        plan.details = await self._insist(lambda: self._client.get(plan.id))

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._cluster.loop.time()))

    async def _insist(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask again for as long as nobody answers."""
        while True:
            try:
                return await ask()
            except UnavailableError:
                await asyncio.sleep(RETRY)

    async def _start(self) -> None:
        plan = self._plan
        run = await self._insist(
            lambda: self._client.start(f"sim/{plan.sample.name}", plan.input, id=plan.id)
        )
        plan.started = True
        plan.created += run.created
        if run.id != plan.id:
            self._wrong(f"a start of {plan.id} was answered for {run.id}")

    async def _do(self, what: str) -> None:
        plan, client = self._plan, self._client
        if what == "cancel":
            plan.cancel_sent = True
            plan.cancel_status = await self._steer(lambda: client.cancel(plan.id, "enough"))
        elif what == "suspend":
            await self._steer(lambda: client.suspend(plan.id))
        elif what == "resume":
            await self._steer(lambda: client.resume(plan.id))
        elif what == "repeat":
            await self._start()
        elif what == "look":
            await self._insist(lambda: client.get(plan.id))
        else:
            await self._clash()

    async def _steer(self, ask: Callable[[], Awaitable[str]]) -> str:
        """Send a control command; one that comes too late is refused."""
        try:
            status: str = await self._insist(ask)
        except ConflictError:
            return "too late"
        return status

    async def _clash(self) -> None:
        """Start something else under the same id."""
        plan = self._plan
        other = {"n": plan.n + 1}
        try:
            await self._insist(
                lambda: self._client.start(f"sim/{plan.sample.name}", other, id=plan.id)
            )
        except IdConflictError:
            return
        self._wrong(f"another start under the id {plan.id} was accepted")

    async def _result(self) -> None:
        plan = self._plan
        while True:
            try:
                result = await self._insist(lambda: self._client.result(plan.id, timeout=PATIENCE))
            except WaitTimeoutError:
                if any(what == "suspend" for _, what in plan.steps):
                    # A late copy of the suspension may have come after the resumption.
                    await self._do("resume")
                continue
            plan.results.append(result)
            return

    async def _delete(self) -> None:
        try:
            await self._client.delete(self._plan.id)
        except (ConflictError, IdConflictError, NotFoundError):
            return  # an earlier try did it, and a late copy of the start may have come since

    def _wrong(self, text: str) -> None:
        self._cluster.problems.append(text)
