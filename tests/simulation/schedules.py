"""A simulated cluster with schedules: what it does to them, and what must be true afterwards."""

from __future__ import annotations

import gc
import random
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client.client import Client
from flunq.core.execution.fold import micros
from flunq.core.scheduling.fires import events_id, fire_id, fires
from flunq.core.scheduling.plan import compile_plan
from flunq.core.scheduling.state import ScheduleState
from flunq.errors import FlunqError, RejectedError
from flunq.log.memory import MemoryEventStream
from flunq.log.select import StreamSettings
from flunq.testing.clock import EPOCH, Process, StuckError, VirtualClock, VirtualLoop, run_virtually
from flunq.testing.cluster import Cluster, Shape
from flunq.testing.faults import Trigger, Weather, Wire
from flunq.testing.invariants import Archive
from flunq.testing.simulate import _listening
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.testing.cluster import Machine

SECOND = 1_000_000
PLACES = (
    "state.swap",
    "state.swap",
    "state.get",
    "state.keys",
    "requests.request",
    "requests.notify",
    "journal.append",
    "blobs.put",
    "inbox.publish",
)
ALONE = "schedule: {{every: {{milliseconds: 500}}}}\ndo:\n  - a: {{wait: {{milliseconds: 1200}}}}\n"
POLICIES = {"skip": "skip", "queue": "queue", "cancel": "cancel"}
DOCUMENTS = {
    **dict.fromkeys(POLICIES, ALONE.format()),
    "every": "schedule: {every: {milliseconds: 700}}\ndo:\n  - a: {set: {x: 1}}\n",
    "cron": "schedule: {cron: '*/2 * * * * *'}\ndo:\n  - a: {set: {x: 1}}\n",
    "leap": "schedule: {every: {milliseconds: 600}}\ndo:\n  - a: {set: {x: 1}}\n",
    "after": "schedule: {after: {milliseconds: 300}}\ndo:\n  - a: {wait: {milliseconds: 400}}\n",
    "on": (
        "schedule: {on: {one: {with: {type: a.one}}}}\n"
        "do:\n  - a: {set: {n: '${ $workflow.input[0].data }'}}\n"
    ),
    "pair": (
        "schedule:\n  on:\n    all:\n"
        "      - {with: {type: a.one}, correlate: {key: {from: .data}}}\n"
        "      - {with: {type: a.two}, correlate: {key: {from: .data}}}\n"
        "do:\n  - a: {set: {x: 1}}\n"
    ),
}


class Scene:
    """One run: schedules on a cluster whose machines die at the worst moments."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = VirtualLoop(patience=400_000)
        clock = VirtualClock(self.loop)
        self.wire = Wire(self.loop, clock.now, random.Random(self.random.random()))
        shape = Shape(machines=2, partitions=self.random.choice([1, 2, 3]))
        self.cluster = Cluster(self.loop, self.wire, shape, seed)
        self.emitted: list[dict[str, Any]] = []
        self.skips: list[tuple[int, int, int]] = []
        """When it was asked, when that was acknowledged, up to which moment."""

    def run(self) -> list[str]:
        """Carry it out; return what must not have happened."""
        known = random.getstate()
        random.seed(1)
        collecting = gc.isenabled()
        gc.disable()
        try:
            with _listening(self.cluster):
                problems = run_virtually(self._main(), self.loop)
        except StuckError as error:
            problems = [f"it never came to rest: {error}"]
        finally:
            random.setstate(known)
            if collecting:
                gc.enable()
        problems += [f"nobody caught {failure!r}" for failure in self.loop.failures]
        return problems + [f"a task failed: {error!r}" for error in self.loop.unnoticed()]

    async def _main(self) -> list[str]:
        cluster, source = self.cluster, self.random
        await cluster.prepare()
        machines = [cluster.add(f"m{number}") for number in range(2)]
        process = Process("client#1")
        customer = self.loop.create_task(self._customer(), context=process.enter())
        self.wire.weather = Weather(
            unknown=source.choice([0.0, 0.02, 0.05]), lost=source.choice([0.0, 0.03])
        )
        for _ in range(source.randrange(1, 6)):
            await elapse(source.uniform(0.3, 4.0))
            self._strike(source.choice(machines))
        await elapse(source.uniform(1.0, 6.0))
        self.wire.weather = Weather()
        self.wire.triggers.clear()
        cluster.heal()
        await customer
        await elapse(12.0)
        return [*cluster.problems, *self._check()]

    def _strike(self, machine: Machine) -> None:
        source = self.random
        if source.random() < 0.25:
            machine.freeze()
            self.wire.later(source.uniform(0.5, 6.0), machine.thaw)
            return
        self.wire.triggers.append(
            Trigger(
                machine=machine.name,
                operation=source.choice(PLACES),
                count=source.choice([1, 1, 2, 5]),
                moment=source.choice(["before", "after"]),
                act=lambda: self._crash(machine),
            )
        )

    def _crash(self, machine: Machine) -> None:
        machine.crash()
        self.wire.later(self.random.choice([0.3, 2.0, 8.0]), machine.start)

    async def _customer(self) -> None:
        settings = StreamSettings(url="memory://simulation", name="client#1")
        async with Client(MemoryEventStream(settings, self.wire)) as client:
            for name, body in DOCUMENTS.items():
                text = _head(name) + body
                await _insist(lambda text=text: client.apply(text))
            for number in range(12):
                await elapse(self.random.uniform(0.0, 1.5))
                if number == 5:
                    await self._skip(client)
                for kind in self.random.sample(["one", "two"], 2):
                    event = {"id": f"{kind}{number}", "source": "/t", "type": f"a.{kind}"}
                    await _insist(lambda e={**event, "data": number}: client.emit([e]))
                    self.emitted.append(event)

    async def _skip(self, client: Client) -> None:
        """Let some fires pass, and wait until they have."""
        asked = EPOCH + self.loop.micros()
        upto = asked + 3 * SECOND
        with suppress(RejectedError):  # too late by now: done by an attempt whose answer was lost
            await _insist(lambda: client.schedules.skip("leap", until=upto))
        now = EPOCH + self.loop.micros()
        self.skips.append((asked, now, upto))
        await elapse(max(upto - now, 0) / SECOND)

    # -- afterwards --------------------------------------------------------------------------------

    def _check(self) -> Iterator[str]:
        archive = Archive(self.wire.journal.archive, self.wire.blobs)
        yield from archive.problems
        started: dict[str, Counter[str]] = {name: Counter() for name in DOCUMENTS}
        for story in archive.stories.values():
            first = story.events[0].event
            name = first.workflow.partition("/")[2].partition(":")[0]
            started[name][story.id] += 1
            yield from self._early(story.id, first.time, story.state)
        yield from self._timed("every", started["every"])
        yield from self._timed("cron", started["cron"])
        yield from self._skipped(started["leap"])
        yield from self._events(started)
        yield from self._alone(archive, "after", 300_000)
        yield from self._alone(archive, "skip", 0)
        yield from self._alone(archive, "queue", 0)

    def _alone(self, archive: Archive, name: str, pause: int) -> Iterator[str]:
        """One run begins after the end of the one before, and they go on to the very end."""
        runs = sorted(
            (micros(story.events[0].event.time), micros(story.events[-1].event.time), story.id)
            for story in archive.stories.values()
            if story.id.startswith(f"{name}-")
        )
        for (_, end, first), (begin, _, second) in pairwise(runs):
            if begin < end + pause:
                yield f"{second} began {end + pause - begin} us too soon after {first}"
        if not runs or runs[-1][0] < EPOCH + self.loop.micros() - 4 * SECOND:
            yield f"{name} stands still after {len(runs)} runs"

    def _early(self, execution: str, time: str, state: Any) -> Iterator[str]:
        due = state.tags.get("scheduled-at", "")
        if not due or time < due:
            yield f"{execution} was started at {time}, before {due}"

    def _timed(self, name: str, started: Counter[str]) -> Iterator[str]:
        state = self._record(name)
        if state is None:
            yield f"{name} has no record"
            return
        plan = compile_plan(state.block)
        now = EPOCH + self.loop.micros()
        wanted = [
            fire_id("t", name, at)
            for at in fires(plan, state.since, state.since, 10_000, upto=now - SECOND)
        ]
        first = next((place for place, one in enumerate(wanted) if one in started), 0)
        if first > 1:  # the schedule came into force within its first second
            yield f"{name}: the first {first} fires were lost"
        lost = [one for one in wanted[first:] if one not in started]
        late = {fire_id("t", name, at) for at in fires(plan, state.since, now - SECOND, 10)}
        extra = [one for one in started if one not in wanted and one not in late]
        if lost or extra:
            yield f"{name}: lost {lost}, never due {extra}"

    def _skipped(self, started: Counter[str]) -> Iterator[str]:
        """What somebody asked to skip never starts; everything else does."""
        state = self._record("leap")
        assert state is not None
        now = EPOCH + self.loop.micros()
        due = fires(compile_plan(state.block), state.since, state.since, 10_000, upto=now - SECOND)
        for at in due[2:]:  # it came into force within its first second
            name = fire_id("t", "leap", at)
            if name in started and any(known < at <= upto for _, known, upto in self.skips):
                yield f"leap: {name} was to be skipped"
            if name not in started and not any(low < at <= upto for low, _, upto in self.skips):
                yield f"leap: {name} was skipped without being asked"

    def _events(self, started: dict[str, Counter[str]]) -> Iterator[str]:
        ones = [event for event in self.emitted if event["type"] == "a.one"]
        wanted = {events_id("t", "on", [f"/t {event['id']}"]) for event in ones}
        if wanted != set(started["on"]):
            yield f"on: wanted {sorted(wanted)}, started {sorted(started['on'])}"
        pairs = {
            events_id("t", "pair", [f"/t one{number}", f"/t two{number}"]) for number in range(12)
        }
        if pairs != set(started["pair"]):
            yield f"pair: wanted {sorted(pairs)}, started {sorted(started['pair'])}"

    def _record(self, name: str) -> ScheduleState | None:
        entry = self.wire.bucket("state").get(f"schedules/default/t/{name}")
        return None if entry is None else msgspec.json.decode(entry.value, type=ScheduleState)


async def _insist(act: Any) -> None:
    """Repeat what is idempotent until it is acknowledged."""
    while True:
        try:
            await act()
        except FlunqError as error:
            if error.status != 503:
                raise
            await elapse(0.2)
        else:
            return


def _head(name: str) -> str:
    policy = POLICIES.get(name)
    metadata = f", metadata: {{schedule: {{overlap: {policy}}}}}" if policy else ""
    return f"document: {{dsl: 1.0.3, namespace: t, name: {name}, version: 1.0.0{metadata}}}\n"
