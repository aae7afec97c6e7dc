"""Workflows that are paused, on clusters in virtual time whose nodes die meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from flunq.core.execution.state import State, decode_state
from flunq.core.flow import PAUSED, RESUMED, WorkflowPause
from flunq.errors import ConflictError, NotFoundError, UnavailableError
from flunq.log.ports import OutcomeUnknownError
from flunq.services.worker import heeding
from tests.support.pausing import PauseDesk
from tests.support.virtual import HEAD, in_cluster, owner_of, settled, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

T = TypeVar("T")
STEPS = HEAD % "steps" + "do: [{a: {call: step, with: {n: 1}}}, {b: {call: step, with: {n: 2}}}]\n"
NAP = HEAD % "nap" + "do: [{w: {wait: {seconds: 30}}}, {b: {call: step, with: {n: 2}}}]\n"
WRONG = """
document:
  {dsl: 1.0.3, namespace: test, name: wrong, version: 1.0.0, metadata: {METADATA}}
do: [{x: {raise: {error: {type: "https://example.com/wrong", status: 500}}}}]
"""
AFTER_ERRORS = "pause: {after: 3, within: PT1H, scope: workflow}, hooks: {paused: test/steps}"
IN_ORDER = [f"x{number:02}" for number in range(40)]


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until somebody answers."""
    while True:
        try:
            return await ask()
        except UnavailableError:
            await elapse(0.1)


def began(cluster: Cluster) -> list[str]:
    return [effect.execution for effect in cluster.ledger.effects if effect.reference == "/do/0/a"]


async def status_of(client: Client, execution: str) -> str:
    return (await client.get(execution)).status


async def until(client: Client, execution: str, status: str) -> None:
    while await status_of(client, execution) != status:
        await elapse(0.05)


def test_starts_wait_and_begin_in_their_order() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await client.apply(STEPS)
        desk = PauseDesk(cluster)
        assert await desk.pause("steps", reason="why not") == ()
        for execution in IN_ORDER:
            run = await client.start("steps", id=execution)
            assert (run.status, run.created) == ("suspended", True)
        assert not (await client.start("steps", id="x00")).created
        await elapse(60)
        assert began(cluster) == []
        assert await desk.resume("steps") == ()
        for execution in [*IN_ORDER, (await client.start("steps", id="last")).id]:
            assert (await client.result(execution, timeout=200)).status == "completed"
        return began(cluster)

    assert in_cluster(situation, capacity=1) == [*IN_ORDER, "last"]


async def bus_of(cluster: Cluster) -> list[dict[str, Any]]:
    bus, found = stream_of(cluster).bus, []
    last = await bus.last_seq()
    async for record in bus.follow(after=0):
        found.append(msgspec.json.decode(record.data))
        if record.seq == last:
            break
    return found


def test_each_change_is_an_event() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[dict[str, Any]]:
        await client.apply(STEPS)
        desk = PauseDesk(cluster)
        await desk.pause("steps:1.0.0", reason="why not")
        await desk.pause("steps:1.0.0", reason="the same pause")
        await desk.resume("steps")
        return await bus_of(cluster)

    events = in_cluster(situation)
    assert [each["type"] for each in events] == [PAUSED, RESUMED]
    assert {each["subject"] for each in events} == {"test/steps:1.0.0"}
    assert [each["data"]["reason"] for each in events] == ["why not", "the same pause"]


def test_open_executions_take_no_further_step() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(NAP)
        await client.start("nap", id="x1")
        await until(client, "x1", "waiting")
        desk = PauseDesk(cluster)
        await desk.pause("test/nap")
        await elapse(100)
        assert (await status_of(client, "x1"), cluster.ledger.effects) == ("suspended", [])
        await desk.resume("nap")
        assert (await client.result("x1", timeout=20)).status == "completed"

    in_cluster(situation)


def test_with_starts_only_open_executions_go_on() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(NAP)
        await client.start("nap", id="x1")
        desk = PauseDesk(cluster)
        await desk.pause("nap", starts_only=True)
        await client.start("nap", id="x2")
        assert (await client.result("x1", timeout=60)).status == "completed"
        assert await status_of(client, "x2") == "suspended"
        assert [each.paused for each in await client.workflows()] == ["starts"]
        await desk.pause("nap")
        with pytest.raises(ConflictError):
            await desk.pause("nap", starts_only=True)
        await desk.resume("nap")
        assert (await client.result("x2", timeout=60)).status == "completed"
        with pytest.raises(NotFoundError):
            await desk.resume("nap")

    in_cluster(situation)


def test_a_pause_and_its_end_outlive_every_process() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(NAP)
        await client.start("nap", id="x1")
        desk = PauseDesk(cluster)
        await desk.pause("nap")
        for machine in cluster.machines.values():
            machine.crash()
            machine.start()
        await client.start("nap", id="x2")
        await elapse(60)
        assert cluster.ledger.effects == []
        for machine in cluster.machines.values():
            machine.crash()
        with pytest.raises(NotFoundError):
            await desk.resume("gone")
        revision = await desk.pauses.change(lambda found: ())
        assert revision
        for machine in cluster.machines.values():
            machine.start()
        for execution in ("x1", "x2"):
            assert (await client.result(execution, timeout=100)).status == "completed"

    in_cluster(situation, machines=2, partitions=2)


def test_somebody_decides_otherwise_about_one_execution() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(STEPS)
        desk = PauseDesk(cluster)
        await desk.pause("steps")
        for execution in ("alone", "kept", "ended"):
            await client.start("steps", id=execution)
        await client.resume("alone")
        assert (await client.result("alone", timeout=20)).status == "completed"
        assert await client.suspend("kept", "mine") == "suspended"
        assert await client.cancel("ended") == "cancelled"
        await desk.resume("steps")
        await elapse(20)
        assert await status_of(client, "kept") == "suspended"
        await client.resume("kept")
        assert (await client.result("kept", timeout=20)).status == "completed"
        assert began(cluster) == ["alone", "kept"]

    in_cluster(situation)


def test_an_execution_that_sleeps_hears_that_the_pause_is_over() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(STEPS)
        desk = PauseDesk(cluster)
        await desk.pause("steps")
        await client.start("steps", id="x1")
        while owner_of(cluster).executions.live:
            await elapse(1)
        await desk.resume("steps")
        assert (await client.result("x1", timeout=20)).status == "completed"

    in_cluster(situation)


def test_what_went_wrong_as_a_pause_ended_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[bytes] = []

    def unreadable(body: bytes) -> State:
        wrong.append(body)
        if len(wrong) == 1:
            raise ValueError
        return decode_state(body)

    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(STEPS)
        desk = PauseDesk(cluster)
        await desk.pause("steps")
        await client.start("steps", id="x1")
        while owner_of(cluster).executions.live:
            await elapse(1)
        monkeypatch.setattr(heeding, "decode_state", unreadable)
        await desk.resume("steps")
        assert (await client.result("x1", timeout=60)).status == "completed"
        assert len(wrong) > 1

    in_cluster(situation)


def test_pauses_of_a_version_and_of_all_hold_each_for_itself() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(STEPS)
        await client.apply(STEPS.replace("version: 1.0.0", "version: 2.0.0"))
        desk = PauseDesk(cluster)
        await desk.pause("steps:1.0.0")
        assert (await client.start("steps", id="new")).status != "suspended"
        await desk.pause("steps")
        await client.start("steps:1.0.0", id="old")
        await desk.resume("test/steps:1.0.0")
        await elapse(20)
        assert await status_of(client, "old") == "suspended"
        await desk.resume("steps")
        assert (await client.result("old", timeout=20)).status == "completed"

    in_cluster(situation)


def test_errors_of_all_its_executions_pause_a_workflow_and_its_hook_is_called_once() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(STEPS)
        await client.apply(WRONG.replace("METADATA", AFTER_ERRORS))
        for number in range(3):
            await client.start("wrong", id=f"x{number}")
        paused: list[str] = []
        while not paused:
            await elapse(0.1)
            paused = [each.pause_reason for each in await client.workflows() if each.paused]
        assert paused == ["3 failures within PT1H"]
        assert (await client.start("wrong", id="late")).status == "suspended"
        await elapse(30)
        hooks = await client.list(workflow="steps")
        assert [each.status for each in hooks] == ["completed"]
        told = (await client.get(hooks[0].id)).input
        assert told == {
            "workflow": "test/wrong:1.0.0", "status": "paused", "reason": paused[0],
        }  # fmt: skip
        await PauseDesk(cluster).resume("wrong")
        assert (await client.result("late", timeout=20)).status == "faulted"

    in_cluster(situation, machines=2, partitions=3)


@pytest.mark.parametrize("stored", [False, True])
def test_a_failure_whose_count_was_not_confirmed_counts_once(stored: bool) -> None:
    async def situation(cluster: Cluster, client: Client) -> list[list[str]]:
        await client.apply(STEPS)
        await client.apply(WRONG.replace("METADATA", AFTER_ERRORS))
        state = owner_of(cluster).context.database.state
        swap, outages = state.swap, [OutcomeUnknownError("no answer")]

        async def unsteady(key: str, value: bytes, *, revision: int) -> int:
            if not (".failures." in key and outages):
                return await swap(key, value, revision=revision)
            if stored:
                await swap(key, value, revision=revision)
            raise outages.pop()

        state.swap = unsteady  # type: ignore[method-assign]
        reasons = []
        for number in range(3):
            await client.start("wrong", id=f"x{number}")
            await elapse(5)
            reasons.append([each.pause_reason for each in await client.workflows() if each.paused])
        return reasons

    assert in_cluster(situation) == [[], [], ["3 failures within PT1H"]]


def test_a_hook_that_was_not_called_before_a_crash_is_called_after_it() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(STEPS)
        await client.apply(NAP)
        hook = await owner_of(cluster).context.definitions.resolve("steps")
        left = WorkflowPause(id="p1", namespace="test", name="nap", since=1, hook=hook)
        await PauseDesk(cluster).pauses.change(lambda found: (*found, left))
        for machine in cluster.machines.values():
            machine.crash()
            machine.start()
        await elapse(10)
        assert [each.status for each in await client.list(prefix="hook-p1")] == ["completed"]

    in_cluster(situation)


class Storm:
    """Starts, pauses and mishaps at random moments, all at once."""

    def __init__(self, cluster: Cluster, client: Client, seed: int) -> None:
        self.names = [f"x{number}" for number in range(24)]
        self.quiet: list[tuple[int, int]] = []
        """Between a pause that all owners confirmed and its end."""
        self._cluster, self._client, self._desk = cluster, client, PauseDesk(cluster)
        self._random = Random(seed)

    async def rage(self) -> None:
        await asyncio.gather(self._start(), self._break(), self._pause())
        self._cluster.heal()
        await settled(self._cluster)

    async def _start(self) -> None:
        for name in self.names:
            await insist(partial(self._client.start, "steps", id=name))
            await self._rest(0, 0.4)

    async def _break(self) -> None:
        for _ in range(3):
            await self._rest(0.2, 4)
            machine = self._random.choice([*self._cluster.machines.values()])
            self._random.choice([machine.crash, machine.freeze, machine.crash])()
            await self._rest(0, 5)
            self._cluster.heal()

    async def _pause(self) -> None:
        for _ in range(2):
            await self._rest(0.2, 3)
            unheard = await insist(lambda: self._desk.pause("steps"))
            since = self._cluster.clock.now()
            await self._rest(0.1, 4)
            if not unheard:
                self.quiet.append((since, self._cluster.clock.now()))
            await insist(lambda: self._desk.resume("steps"))

    async def _rest(self, least: float, most: float) -> None:
        await elapse(self._random.uniform(least, most))


def first_calls(cluster: Cluster) -> list[int]:
    """Return when each step was called for the first time; what died meanwhile is called again."""
    calls = {effect.key: effect.at for effect in reversed(cluster.ledger.effects)}
    return [*calls.values()]


@pytest.mark.parametrize("seed", range(1, 13))
def test_nothing_begins_while_a_pause_is_confirmed_and_nothing_is_lost(seed: int) -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(STEPS)
        storm = Storm(cluster, client, seed)
        await storm.rage()
        for name in storm.names:
            ended = await insist(partial(client.result, name, timeout=300))
            assert ended.status == "completed"
        calls = first_calls(cluster)
        assert len(calls) == 2 * len(storm.names)
        for since, until_ in storm.quiet:
            assert not [at for at in calls if since < at < until_]

    in_cluster(situation, machines=2, partitions=2)
