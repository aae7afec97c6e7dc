"""What happens in one run: drawn from the seed before it begins, then carried out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.core.reading import read_document
from flunq.log.memory import MemoryDatabase
from flunq.log.select import StreamSettings
from flunq.services.worker.definitions import Definitions
from flunq.services.worker.trimming import watermark_key
from flunq.testing.cluster import Shape
from flunq.testing.documents import HOURS, sample
from flunq.testing.faults import Trigger, Weather
from flunq.testing.invariants import check, unread
from flunq.testing.recovering import differences
from flunq.testing.workload import Customer, Plan

if TYPE_CHECKING:
    from random import Random

    from flunq.core.reading import Document
    from flunq.testing.cluster import Cluster, Machine

DOCUMENTS = 300
PLACES = (
    "journal.append",
    "journal.append",
    "journal.last",
    "journal.read",
    "state.put",
    "state.swap",
    "state.delete",
    "inbox.publish",
    "inbox.purge",
    "tasks.publish",
    "tasks.withdraw",
    "tasks.ack",
    "bus.publish",
    "blobs.put",
    "requests.request",
    "requests.notify",
    "leases.renew",
    "schedules.wake_at",
)
POINTS = (
    "before-decide",
    "before-commit",
    "after-commit",
    "before-release",
    "before-dispatch",
    "after-release",
)
KINDS = (
    *("crash", "crash-at", "crash-at", "point", "point", "freeze", "freeze-at", "stop"),
    *("storm", "storm", "stall", "clog", "clog", "customer", "detour", *["duel"] * 8),
    *("full", "amnesia"),
)
SLOW = (
    *("journal.append", "state.put", "state.swap", "blobs.put"),
    *("tasks.publish", "tasks.publish", "bus.publish", "bus.publish"),
)
DUELS = ("journal.append", *["state.put"] * 3, *["state.swap"] * 3)
UNDER_WAY = 10.0
"""After this many seconds nothing is on the wire any more that was held up there."""
SETTLED_WITHIN = 300.0
"""Seconds of virtual time in which everything must have ended once nothing goes wrong."""


class Mishap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that goes wrong at a moment."""

    at: float
    kind: str
    machine: str
    operation: str = ""
    moment: str = "before"
    count: int = 1
    lasts: float = 1.0
    """Until it is over: restarted, thawed, quiet again."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    shape: Shape
    plans: list[Plan]
    customers: int
    weather: Weather
    mishaps: list[Mishap]
    profile: str
    archived: bool
    """The journal is archived, so that it is trimmed."""
    late_machine: float | None
    """When one more machine joins."""
    roles: list[tuple[str, ...]]
    """What each machine does."""

    async def run(self, cluster: Cluster) -> list[str]:
        """Carry it out; return what must not have happened."""
        return await _Run(self, cluster).run()


def draw(random: Random) -> Scenario:
    """Draw a run."""
    profile = HOURS if random.random() < 0.03 else ""
    shape = _shape(random, profile)
    horizon = random.choice([3.0, 6.0, 12.0])
    names = [f"m{number}" for number in range(shape.machines)]
    mishaps = [_mishap(random, names, horizon) for _ in range(random.choice([0, 1, 1, 2, 3, 4]))]
    rate = random.choice([0.0, 0.0, 0.01, 0.04])
    weather = Weather(
        unknown=rate,
        lost=random.choice([0.0, 0.01, 0.05]),
        doubled=random.choice([0.0, 0.02, 0.1]),
        slow=random.choice([0.0, 0.02]),
    )
    return Scenario(
        shape=shape,
        plans=[_plan(random, number, profile) for number in range(random.randrange(2, 7))],
        customers=random.choice([1, 1, 2]),
        weather=weather,
        mishaps=sorted(mishaps, key=lambda m: m.at),
        profile=profile,
        archived=random.random() < 0.5,
        late_machine=random.uniform(0.5, horizon) if random.random() < 0.15 else None,
        roles=_roles(random, shape.machines),
    )


def _roles(random: Random, machines: int) -> list[tuple[str, ...]]:
    """Mostly everything on each machine, sometimes owners and executors apart."""
    both = ("worker", "executor")
    if machines == 1 or random.random() < 0.75:
        return [both] * machines
    return [("worker",), ("executor",), random.choice([both, ("worker",), ("executor",)])][
        :machines
    ]


def _shape(random: Random, profile: str) -> Shape:
    slow = 40.0 if profile == HOURS else 1.0
    return Shape(
        machines=random.choice([1, 2, 2, 3]),
        partitions=random.choice([1, 2, 3]),
        capacity=random.choice([1, 4, 64]),
        lease_ttl=3.0 * slow,
        blob_threshold=random.choice([700, 3000, 256 * 1024]),
        checkpoint_seconds=random.choice([0.15, 0.5, 2.0]) * slow,
        checkpoint_bytes=random.choice([20_000, 8 * 1024 * 1024]),
        hibernate_seconds=random.choice([0.1, 1.0]),
        sweep_seconds=random.choice([0.5, 1.0]) * slow,
        commits_in_flight=random.choice([1, 2, 3, 4]),
        handover_seconds=random.choice([0.5, 5.0]),
    )


def _plan(random: Random, number: int, profile: str) -> Plan:
    steps: list[tuple[float, str]] = []
    fate = random.random()
    if fate < 0.12:
        steps.append((random.choice([0.0, 0.5, random.uniform(0, 4)]), "cancel"))
    elif fate < 0.28:
        first = random.choice([0.0, random.uniform(0, 2)])
        steps += [(first, "suspend"), (first + random.uniform(0.1, 4), "resume")]
    if random.random() < 0.2:
        steps.append((random.choice([0.0, random.uniform(0, 8)]), "repeat"))
    if random.random() < 0.12:
        steps.append((random.choice([0.0, random.uniform(0, 8)]), "clash"))
    if random.random() < 0.2:
        steps += [(random.uniform(0, 8), "look") for _ in range(3)]
    return Plan(
        id=f"x{number}-{random.randrange(1000)}",
        sample=sample(random.randrange(DOCUMENTS), profile),
        n=random.randrange(100),
        pad=random.choice([0, 0, 0, 1500]),
        at=random.choice([0.0, 0.3, random.uniform(0, 5), random.uniform(0, 9)]),
        steps=sorted(steps),
        delete=random.random() < 0.1,
    )


def _mishap(random: Random, machines: list[str], horizon: float) -> Mishap:
    kind = random.choice(KINDS)
    if random.random() < 0.02:
        kind = "inbox"
    operation = random.choice(POINTS if kind == "point" else PLACES)
    if kind in ("stall", "clog"):
        operation = random.choice(SLOW)
    if kind == "duel":
        operation = random.choice(DUELS)
    return Mishap(
        at=random.uniform(0.2, 3.0 if kind in ("clog", "duel") else horizon),
        kind=kind,
        machine=random.choice(machines),
        operation=operation,
        moment="before" if kind == "point" else random.choice(["before", "after"]),
        count=random.choice([1, 1, 2, 3, 5, 8]),
        lasts=random.choice([0.3, 1.0, 2.5, 4.5, 8.0]),
    )


class _Run:
    """A scenario on a cluster."""

    def __init__(self, scenario: Scenario, cluster: Cluster) -> None:
        self._scenario = scenario
        self._cluster = cluster
        self._wire = cluster.wire
        self._customers: list[Customer] = []
        self._calm = False

    async def run(self) -> list[str]:
        scenario, cluster = self._scenario, self._cluster
        await cluster.prepare()
        await self._register()
        for number in range(scenario.shape.machines):
            cluster.add(f"m{number}", scenario.roles[number])
        self._wire.weather = scenario.weather
        if scenario.archived:
            cluster.watch(self._archive())
        if scenario.late_machine is not None:
            cluster.watch(self._join(scenario.late_machine))
        self._begin_customers()
        for mishap in scenario.mishaps:
            await asyncio.sleep(max(0.0, mishap.at - cluster.loop.time()))
            self._strike(mishap)
        longest = max((mishap.lasts for mishap in scenario.mishaps), default=1.0)
        if any(mishap.kind == "duel" for mishap in scenario.mishaps):
            longest = max(longest, 2 * scenario.shape.lease_ttl)
        await asyncio.sleep(longest)
        self._clear_up()
        cluster.problems += await differences(cluster)
        await self._settle()
        cluster.problems += await differences(cluster)
        return list(check(cluster, scenario.plans))

    async def _register(self) -> None:
        cluster = self._cluster
        settings = StreamSettings(url="memory://simulation", name="operator")
        bucket = MemoryDatabase(settings, cluster.wire).definitions
        definitions = Definitions(bucket, "default", cluster.clock)
        for one in {plan.sample.name: plan.sample for plan in self._scenario.plans}.values():
            document = _document(one.text)
            await definitions.apply(document.value, one.text, document.digest, 0)

    def _begin_customers(self) -> None:
        count = self._scenario.customers
        for number in range(count):
            plans = self._scenario.plans[number::count]
            customer = Customer(self._cluster, f"client{number}", plans)
            self._customers.append(customer)
            customer.start()

    async def _join(self, at: float) -> None:
        await asyncio.sleep(at)
        self._cluster.add("late")

    async def _archive(self) -> None:
        """Say, as the historian will, up to where the journal is kept elsewhere."""
        while True:
            await asyncio.sleep(1.0)
            journal = self._wire.journal
            self._wire.bucket("state").put(watermark_key("default"), b"%d" % journal.last_seq)

    # -- mishaps -----------------------------------------------------------------------------------

    def _strike(self, mishap: Mishap) -> None:
        self._wire.note(f"mishap {mishap.kind} {mishap.machine} {mishap.operation}")
        machine = self._cluster.machines[mishap.machine]
        if mishap.kind in ("crash-at", "point", "freeze-at", "duel"):
            self._lie_in_wait(mishap, machine)
        elif mishap.kind == "crash":
            self._crash(machine, mishap.lasts)
        elif mishap.kind == "freeze":
            self._freeze(machine, mishap.lasts)
        elif mishap.kind == "stop":
            machine.ask_to_stop(back_after=mishap.lasts)
        elif mishap.kind in ("storm", "stall", "clog", "detour"):
            self._storm(mishap)
            if mishap.kind == "clog":
                self._wire.later(mishap.lasts / 4, self._crash, machine, 0.5)
        elif mishap.kind == "customer":
            self._customers[0].crash()
        elif mishap.kind == "full":
            self._wire.full = True
            self._wire.later(mishap.lasts, self._make_room)
        elif mishap.kind == "amnesia":
            self._wire.queue("default/tasks").lose(mishap.count)
        else:
            self._wire.recreate_log("default/inbox")

    def _lie_in_wait(self, mishap: Mishap, machine: Machine) -> None:
        act = {"freeze-at": self._freeze, "duel": self._duel}.get(mishap.kind, self._crash)
        self._wire.triggers.append(
            Trigger(
                machine=machine.name,
                operation=mishap.operation,
                count=mishap.count,
                moment=mishap.moment,
                act=lambda: act(machine, mishap.lasts),
            )
        )

    def _crash(self, machine: Machine, lasts: float) -> None:
        if not self._calm:
            machine.crash()
            self._wire.later(lasts, machine.start)

    def _freeze(self, machine: Machine, lasts: float) -> None:
        if not self._calm:
            machine.freeze()
            self._wire.later(lasts, machine.thaw)

    def _duel(self, machine: Machine, lasts: float) -> None:
        """Freeze a machine about until another has taken over; perhaps kill that one after."""
        if self._calm:
            return
        pause = self._scenario.shape.lease_ttl * (0.75 + lasts / 8)
        self._freeze(machine, pause)
        for other in self._cluster.machines.values():
            if other is not machine and lasts != 1.0:
                self._wire.later(pause + lasts / 100, self._crash, other, lasts)

    def _storm(self, mishap: Mishap) -> None:
        storm = Weather(unknown=0.3, lost=0.3, doubled=0.2, slow=0.2)
        if mishap.kind in ("stall", "clog"):
            storm = Weather(stalled=frozenset([mishap.operation]))
        if mishap.kind == "detour":
            # Requests of clients get nowhere, so that their commands go through the inbox.
            storm = Weather(lost=0.9)
            for number in range(self._scenario.customers):
                self._wire.storms[f"client{number}"] = storm
                self._wire.later(mishap.lasts, self._wire.storms.pop, f"client{number}", None)
            return
        self._wire.storms[mishap.machine] = storm
        self._wire.later(mishap.lasts, self._wire.storms.pop, mishap.machine, None)

    def _make_room(self) -> None:
        self._wire.full = False

    def _clear_up(self) -> None:
        self._wire.full = False
        self._wire.note("nothing goes wrong any more")
        self._calm = True
        self._wire.weather = Weather()
        self._wire.storms.clear()
        self._wire.triggers.clear()
        self._cluster.heal()

    # -- the end -----------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Let everything come to its end, then stop in order."""
        cluster = self._cluster
        slow = 150.0 if self._scenario.profile == HOURS else 1.0
        deadline = cluster.loop.time() + SETTLED_WITHIN * slow
        while not all(plan.done for plan in self._scenario.plans):
            if cluster.loop.time() > deadline or cluster.problems:
                undone = [plan.id for plan in self._scenario.plans if not plan.done]
                cluster.problems.append(f"{', '.join(undone)} did not come to an end")
                break
            await asyncio.sleep(0.25 * slow)
        await asyncio.sleep(2 * self._scenario.shape.sweep_seconds + UNDER_WAY)
        cluster.stopping_at = cluster.clock.now() / 1_000_000
        await self._stop_all()
        if any(unread(cluster).values()):
            # The last owner may have begun too late to read them.
            self._cluster.heal()
            await asyncio.sleep(1.0)
            await self._stop_all()

    async def _stop_all(self) -> None:
        for machine in list(self._cluster.machines.values()):
            machine.ask_to_stop()
            await machine.stopped()


_documents: dict[str, Document] = {}


def _document(text: str) -> Document:
    known = _documents.get(text)
    if known is None:
        known = _documents[text] = read_document(text, name="document")
    return known
