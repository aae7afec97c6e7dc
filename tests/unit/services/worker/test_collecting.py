"""Workflows that collect their starts, on clusters in virtual time whose nodes die meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from flunq.core.collecting import execution_of, route_of
from flunq.core.execution.commands import Start, WorkflowRef
from flunq.core.ids import partition_of
from flunq.errors import ConflictError, IdConflictError, RejectedError, UnavailableError
from flunq.services.worker.groups import REMEMBERED, Groups
from flunq.services.worker.jobs import Job
from tests.support.pausing import PauseDesk
from tests.support.virtual import in_cluster, owner_of, settled, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.client.client import Client
    from flunq.client.run import Run
    from flunq.testing.cluster import Cluster

T = TypeVar("T")
TEXT = """
document:
  {dsl: 1.0.3, namespace: test, name: many, version: 1.0.0, metadata: {start: {RULE}}}
do: [{a: {call: step, with: {n: 1}}}, {b: {set: {given: "${ $workflow.input }"}}}]
"""
BATCH = TEXT.replace("RULE", 'batch: {key: "${ .k }", for: PT5S, size: 4}')
DEBOUNCE = TEXT.replace("RULE", 'debounce: {key: "${ .k }", for: PT5S, max: PT20S}')
SLOW = TEXT.replace("RULE", 'batch: {key: "${ .k }", for: PT1H, size: 100}')
REF = WorkflowRef(namespace="test", name="many", version="1.0.0", digest="")


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until somebody answers."""
    while True:
        try:
            return await ask()
        except UnavailableError:
            await elapse(0.1)


def value(number: int, key: str = "k") -> dict[str, Any]:
    return {"k": key, "n": number}


async def given(client: Client, execution: str) -> Any:
    ended = await insist(partial(client.result, execution, timeout=300))
    assert ended.status == "completed"
    return ended.output["given"]


async def all_starts(client: Client, count: int, key: str = "k") -> list[Run]:
    return [
        await client.start("many", value(each, key), id=f"{key}{each}") for each in range(count)
    ]


def test_starts_of_one_key_are_one_execution_wherever_their_ids_belong() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        runs = await all_starts(client, 4)
        assert {partition_of(f"k{each}", 3) for each in range(4)} != {partition_of(runs[0].id, 3)}
        assert [run.created for run in runs] == [True, False, False, False]
        assert len({run.id for run in runs}) == 1
        assert await given(client, runs[0].id) == [value(each) for each in range(4)]
        (following,) = await all_starts(client, 1, "other")
        assert following.id != runs[0].id
        assert await given(client, following.id) == [value(0, "other")]

    in_cluster(situation, partitions=3)


def test_a_debounced_workflow_runs_once_with_the_newest_input() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(DEBOUNCE)
        for number in range(6):
            run = await client.start("many", value(number))
            assert (run.status, run.created) == ("waiting", number == 0)
            await elapse(2)
        assert (await client.get(run.id)).waiting[0]["starts"] == 6
        assert await given(client, run.id) == value(5)
        assert len(await client.list(workflow="many")) == 1

    in_cluster(situation, partitions=3)


def test_a_start_that_is_repeated_answers_the_same_execution() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        ids = {run.id for run in [*await all_starts(client, 2), *await all_starts(client, 2)]}
        assert len(ids) == 1
        assert await given(client, ids.pop()) == [value(0), value(1)]
        late = await all_starts(client, 2)
        assert [(run.status, run.created) for run in late] == [("completed", False)] * 2
        assert (await late[1].result(timeout=5))["given"] == [value(0), value(1)]
        with pytest.raises(IdConflictError):
            await client.start("many", value(7), id="k1")
        await client.delete(late[0].id)
        with pytest.raises(ConflictError):
            await client.start("many", value(1), id="k1")

    in_cluster(situation, partitions=3)


def test_a_group_outlives_every_process_and_what_sleeps_is_found() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(SLOW)
        (first,) = await all_starts(client, 1)
        home = partition_of(first.id, 3)
        while owner_of(cluster, home).executions.live:
            await elapse(1)
        assert [group.starts for group in await client.groups()] == [1]
        assert len({run.id for run in await all_starts(client, 2)}) == 1
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        await settled(cluster)
        runs = await all_starts(client, 3)
        assert [(run.id, run.created) for run in runs] == [(first.id, False)] * 3
        await client.resume(first.id)
        assert await given(client, first.id) == [value(0), value(1), value(2)]

    in_cluster(situation, partitions=3)


def test_what_was_collected_right_before_a_crash_is_known_right_after_it() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(SLOW)
        before = await all_starts(client, 2)
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        await settled(cluster)
        after = await all_starts(client, 3)
        assert {run.id for run in after} == {before[0].id}
        await client.cancel(before[0].id)
        late = await client.start("many", value(1), id="k1")
        assert (late.id, late.status) == (before[0].id, "cancelled")

    in_cluster(situation, partitions=3)


def test_open_groups_are_listed_wherever_they_are_kept_until_they_begin() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        await client.apply(
            SLOW.replace("batch", "debounce")
            .replace(", size: 100", "")
            .replace("version: 1.0.0", "version: 2.0.0")
        )
        many = [await client.start("many:1.0.0", value(each), id=f"b{each}") for each in range(3)]
        slow = await client.start("many:2.0.0", value(7, "late"))
        first, second = await client.groups()
        assert (first.execution, first.kind, first.key) == (many[0].id, "batch", "k")
        assert (first.starts, first.size, first.status) == (3, 4, "waiting")
        assert first.due == first.since + 5_000_000
        assert (second.execution, second.kind, second.key) == (slow.id, "debounce", "late")
        assert (second.workflow, second.starts, second.size) == ("test/many:2.0.0", 1, 0)
        await given(client, first.execution)
        assert [group.execution for group in await client.groups()] == [slow.id]

    in_cluster(situation, partitions=3)


def test_after_a_group_was_cancelled_or_deleted_the_next_start_opens_another() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(SLOW)
        first = await client.start("many", value(1))
        assert await client.cancel(first.id) == "cancelled"
        second = await client.start("many", value(2))
        await client.cancel(second.id)
        await client.delete(second.id)
        third = await client.start("many", value(3))
        assert len({first.id, second.id, third.id}) == 3
        assert (third.created, third.status) == (True, "waiting")

    in_cluster(situation, partitions=3)


def test_while_the_workflow_is_paused_starts_join_and_nothing_begins() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        before = await client.start("many", value(0, "before"))
        desk = PauseDesk(cluster)
        await desk.pause("many", starts_only=True)
        runs = await all_starts(client, 3)
        assert [run.status for run in runs] == ["suspended"] * 3
        await elapse(60)
        assert cluster.ledger.effects == []
        await desk.resume("many")
        assert await given(client, runs[0].id) == [value(0), value(1), value(2)]
        assert await given(client, before.id) == [value(0, "before")]

    in_cluster(situation, partitions=3)


def test_another_version_has_groups_of_its_own() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        old = await client.start("many", value(1), id="x1")
        await client.apply(BATCH.replace("version: 1.0.0", "version: 2.0.0"))
        new = await client.start("many", value(2), id="x2")
        again = await client.start("many", value(1), id="x1")
        assert (new.created, again.id, again.created) == (True, old.id, False)
        assert await given(client, old.id) == [value(1)]
        assert await given(client, new.id) == [value(2)]

    in_cluster(situation, partitions=3)


def test_a_start_whose_key_cannot_be_found_is_refused() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        with pytest.raises(RejectedError):
            await client.start("many", ["no object"])

    in_cluster(situation)


def test_a_start_that_nobody_waits_for_is_handed_on() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        home = partition_of(route_of(REF, "k"), 3)
        name = next(f"x{each}" for each in range(99) if partition_of(f"x{each}", 3) != home)
        start = Start(id=name, workflow=REF, input=value(1))
        for _ in range(2):
            owner_of(cluster, partition_of(name, 3)).submit(Job(start))
            await elapse(1)
        stored = [start, Start(id="y", workflow=REF, input=value(2))]
        for command in stored:
            body = b"[" + msgspec.json.encode(command) + b"]"
            number = partition_of(command.id, 3)
            await stream_of(cluster).inbox.publish(
                number, body, message_id=command.id, external=True
            )
        found = execution_of(route_of(REF, "k"), name, 3)
        assert await given(client, found) == [value(1), value(2)]

    in_cluster(situation, partitions=3)


def test_only_the_newest_starts_are_remembered() -> None:
    groups = Groups()
    for number in range(REMEMBERED + 5):
        groups.remember(f"x{number}", "e", "f")
    assert (len(groups.joined), "x4" in groups.joined, "x5" in groups.joined) == (
        REMEMBERED, False, True,
    )  # fmt: skip


class Storm:
    """Starts of several groups, each sent again and again, while nodes die."""

    def __init__(self, cluster: Cluster, client: Client, seed: int) -> None:
        self.found: dict[str, set[str]] = {}
        """Which executions were named to each start."""
        self._cluster, self._client = cluster, client
        self._random = Random(seed)

    async def rage(self) -> None:
        await asyncio.gather(*(self._start(key) for key in "abc"), self._break())
        self._cluster.heal()
        await settled(self._cluster)

    async def _start(self, key: str) -> None:
        for number in range(10):
            await elapse(self._random.uniform(0, 1.5))
            for _ in range(self._random.choice((1, 1, 2))):
                name = f"{key}{number}"
                start = partial(self._client.start, "many", value(number, key), id=name)
                self.found.setdefault(name, set()).add((await insist(start)).id)

    async def _break(self) -> None:
        for _ in range(4):
            await elapse(self._random.uniform(0.2, 4))
            machine = self._random.choice([*self._cluster.machines.values()])
            self._random.choice([machine.crash, machine.freeze, machine.crash])()
            await elapse(self._random.uniform(0, 5))
            self._cluster.heal()


@pytest.mark.parametrize("seed", range(1, 9))
def test_in_a_storm_each_start_is_part_of_exactly_one_execution(seed: int) -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(BATCH)
        storm = Storm(cluster, client, seed)
        await storm.rage()
        assert {len(ids) for ids in storm.found.values()} == {1}
        executions = await insist(partial(client.list, limit=100))
        seen: list[tuple[str, str]] = []
        for each in executions:
            inputs = await given(client, each.id)
            assert len({one["k"] for one in inputs}) == 1
            seen += [(f"{one['k']}{one['n']}", each.id) for one in inputs]
        assert sorted(seen) == sorted((name, *ids) for name, ids in storm.found.items())

    in_cluster(situation, machines=2, partitions=3)


@pytest.mark.parametrize("seed", range(1, 4))
def test_in_a_storm_the_newest_input_of_each_debounced_group_counts(seed: int) -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(DEBOUNCE)
        storm = Storm(cluster, client, seed)
        await storm.rage()
        assert {len(ids) for ids in storm.found.values()} == {1}
        last = {next(iter(ids)): name for name, ids in storm.found.items()}
        for execution, name in last.items():
            assert await given(client, execution) == value(int(name[1:]), name[0])

    in_cluster(situation, machines=2, partitions=3)


def test_a_late_copy_of_a_resume_does_not_let_a_group_begin() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(SLOW)
        (first,) = await all_starts(client, 1)
        await client.suspend(first.id)
        await client.resume(first.id, request="r1")
        assert await client.resume(first.id, request="r1") == "waiting"
        assert [group.starts for group in await client.groups()] == [1], "it collects on"

    in_cluster(situation, partitions=3)
