"""Scenarios in which much happens at the same moment, with a fault in the middle of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from flunq.chaos.faults import draw_faults
from flunq.chaos.options import FaultReport
from flunq.chaos.watching import TallyWatch
from flunq.core import events as types
from flunq.core.execution.fold import TIMER_FIRED
from flunq.errors import FlunqError, NotFoundError, UnavailableError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from flunq.chaos.cluster import ChaosCluster
    from flunq.chaos.faults import Fault
    from flunq.chaos.options import ChaosOptions
    from flunq.chaos.watching import JournalWatch
    from flunq.chaos.workload import Workload
    from flunq.client import Client
    from flunq.testing.invariants import Archive

    Tell = Callable[[str], None]

FAULTS, TIMERS, EVENTS, STARTS = "faults", "timers", "events", "starts"
STRIKES = ("kill-node", "kill-nats", "kill-control", "pause-node")
"""The fault that comes in the middle is one of these."""
_HEAD = "document: {dsl: 1.0.3, namespace: flunq, name: %s, version: 1.0.0}\n"
_WAIT = _HEAD % "chaos-wait" + "do: [{wait: {wait: '${ .for }'}}]\n"
_CALL = (
    _HEAD % "chaos-call"
    + "do: [{call: {call: chaos-add, with: {n: '${ .n }', milliseconds: 1000}}}]\n"
)
_HEAR = (
    _HEAD % "chaos-hear"
    + """do:
  - hear: {listen: {to: {any: [{with: {type: flunq.chaos}}], until: '${ length >= COUNT }'}}}
"""
)
_AT_ONCE = 128
_BATCH = 10
_LEAD = 3.0
_STARTS_PER_SECOND = 250
_POLL = 0.05
_SECOND = 1_000_000


class Stage:
    """What a scenario works with, and what it finds."""

    def __init__(
        self,
        cluster: ChaosCluster,
        client: Client,
        work: Workload,
        watch: JournalWatch,
        options: ChaosOptions,
        tell: Tell,
    ) -> None:
        self.client = client
        self.work = work
        self.watch = watch
        self.options = options
        self.tell = tell
        self.reports: list[FaultReport] = []
        self.figures: dict[str, float] = {}
        self._cluster = cluster

    async def strike(self, fault: Fault, place: str) -> None:
        """Inject one fault and measure when starts are accepted again."""
        await self._cluster.until_ready()
        names = await self._cluster.targets(fault)
        self.tell(f"{place}: {fault.kind} ({', '.join(names)})")
        number = len(self.reports) + 1
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cluster.inject(names, fault))
            probing = group.create_task(self.work.probe(number, time.monotonic))
        first, every = probing.result()
        self.reports.append(
            FaultReport(
                number=number,
                kind=fault.kind,
                target=", ".join(names),
                lasted=fault.seconds,
                next_start=_rounded(first),
                recovered=_rounded(every),
            )
        )

    async def strike_once(self) -> None:
        """Inject the fault that the seed draws."""
        (fault,) = draw_faults(self.options.seed, self.options.faults or STRIKES, 1)
        await self.strike(fault, "in the middle")

    async def begin(self, workflow: str, value: Any, id_: str) -> None:
        """Start an execution whose end will be asked for."""
        await self.work.start(f"flunq/{workflow}", value, id_)
        self.work.acknowledged[id_] = None

    def name(self, number: int) -> str:
        """Return the id of an execution."""
        return f"{self.options.scenario}-{self.options.seed}-{number}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


async def _all(one: Callable[[int], Awaitable[None]], numbers: Iterable[int]) -> None:
    """Do something for each number, many at the same time."""
    left = iter(numbers)

    async def lane() -> None:
        for number in left:
            await one(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(lane())


# --- timers -------------------------------------------------------------------------------------


async def _timers(stage: Stage) -> None:
    """All timers are due in the same second, and something fails in that second."""
    count = stage.options.count
    await stage.client.apply(_WAIT)
    due = time.time() + _LEAD + count / _STARTS_PER_SECOND
    stage.tell(f"starting {count} executions that wait for the same moment")

    async def start(number: int) -> None:
        wait = {"for": f"PT{max(due - time.time(), 0.0):.3f}S"}
        await stage.begin("chaos-wait", wait, stage.name(number))

    async def end(number: int) -> None:
        name = stage.name(number)
        try:
            await stage.work.end(name)
        except (FlunqError, TimeoutError) as error:
            stage.work.broken.append(f"lost: {name} has not ended: {error or 'in time'}")

    await _all(start, range(count))
    await asyncio.sleep(max(due - time.time(), 0.0))
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.strike_once())
        group.create_task(_all(end, range(count)))
    stage.figures["all_ended_seconds_after_due"] = round(time.time() - due, 3)


def lateness(archive: Archive) -> dict[str, float]:
    """Return how late the firing of timers was stored, and how many were due together."""
    dues: list[int] = []
    late: list[float] = []
    for story in archive.stories.values():
        due = 0
        for stored in story.events:
            event = stored.event
            if event.type == types.TASK_STARTED:
                due = event.data.get("due", 0)
            elif event.type == TIMER_FIRED and due:
                dues.append(due)
                late.append((stored.at - due) / _SECOND)
    if not late:
        return {}
    late.sort()
    busiest = Counter(due // _SECOND for due in dues).most_common(2)
    return {
        "timers_due_in_two_seconds": sum(times for _, times in busiest),
        "late_p50_seconds": round(late[len(late) // 2], 3),
        "late_p99_seconds": round(late[len(late) * 99 // 100], 3),
        "late_max_seconds": round(late[-1], 3),
    }


# --- events -------------------------------------------------------------------------------------


async def _events(stage: Stage) -> None:
    """One execution hears everything, and something fails when half of it is sent."""
    count, listener = stage.options.count, stage.name(0)
    await stage.client.apply(_HEAR.replace("COUNT", str(count)))
    await stage.begin("chaos-hear", {}, listener)
    await _until_waiting(stage, listener)
    began = time.monotonic()

    async def emit(batch: int) -> None:
        numbers = range(batch * _BATCH, min((batch + 1) * _BATCH, count))
        await _emit(stage, numbers)

    batches = -(-count // _BATCH)
    await _all(emit, range(batches // 2))
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.strike_once())
        group.create_task(_all(emit, range(batches // 2, batches)))
    try:
        result = await stage.work.end(listener)
    except (FlunqError, TimeoutError) as error:
        stage.work.broken.append(f"lost: {listener} has not heard everything: {error}")
        return
    stage.figures["seconds_until_all_were_heard"] = round(time.monotonic() - began, 3)
    heard = Counter(event["n"] for event in result.output)
    for number in range(count):
        if heard[number] != 1:
            promise = "doubled" if heard[number] else "lost"
            stage.work.broken.append(f"{promise}: event {number} was heard {heard[number]} times")


async def _until_waiting(stage: Stage, execution: str) -> None:
    async with asyncio.timeout(stage.options.patience):
        while True:
            try:
                if (await stage.client.get(execution)).status == "waiting":
                    return
            except (UnavailableError, NotFoundError):
                pass  # its owner has yet to tell
            await asyncio.sleep(_POLL)


async def _emit(stage: Stage, numbers: Iterable[int]) -> None:
    """Send events until they are stored; a second copy has the same ids."""
    events = [
        {"id": str(n), "source": "flunq:chaos", "type": "flunq.chaos", "data": {"n": n}}
        for n in numbers
    ]
    async with asyncio.timeout(stage.options.patience):
        while True:
            try:
                await stage.client.emit(events)
            except (UnavailableError, WaitTimeoutError):
                await asyncio.sleep(_POLL)
            else:
                return


# --- starts -------------------------------------------------------------------------------------


async def _starts(stage: Stage) -> None:
    """Starts come faster than they are worked off; cancelling one must not wait for that."""
    count, watch = stage.options.count, stage.watch
    assert isinstance(watch, TallyWatch)
    await stage.client.apply(_CALL)
    await stage.client.apply(_WAIT)
    began = time.monotonic()

    async def start(number: int) -> None:
        await stage.begin("chaos-call", {"n": number}, stage.name(number))

    await stage.begin("chaos-wait", {"for": "PT1H"}, stage.name(count))
    await _all(start, range(count // 2))
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.strike_once())
        group.create_task(_all(start, range(count // 2, count)))
    stage.figures["starts_per_second"] = round(count / (time.monotonic() - began), 1)
    waiting = len(stage.work.acknowledged) - len(watch.ended)
    stage.figures["waiting_when_all_were_accepted"] = max(waiting, 0)
    cancelled = time.monotonic()
    await stage.client.cancel(stage.name(count))
    stage.figures["seconds_to_cancel_one"] = round(time.monotonic() - cancelled, 3)
    try:
        async with asyncio.timeout(stage.options.patience):
            await watch.until_ended(len(stage.work.acknowledged))
    except TimeoutError:
        stage.tell("not everything has ended in time")
    stage.figures["seconds_until_all_had_ended"] = round(time.monotonic() - began, 3)


class Burst(NamedTuple):
    """One such scenario, and how much of it there is."""

    run: Callable[[Stage], Awaitable[None]]
    small: int
    full: int


BURSTS = {
    TIMERS: Burst(_timers, 300, 10_000),
    EVENTS: Burst(_events, 100, 1_000),
    STARTS: Burst(_starts, 1_000, 100_000),
}


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything a run has."""

    executions: int
    patience: float


SIZES = {
    "small": Size(executions=200, patience=60.0),
    "full": Size(executions=1_000, patience=900.0),
}
