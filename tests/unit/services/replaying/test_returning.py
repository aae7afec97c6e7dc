"""Retry, rewind, fork and migrate on a cluster in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.execution.commands import Report, Restore, WorkflowRef
from flunq.core.execution.decide import decide
from flunq.core.protocol import Commands, replay_subject, start_subject
from flunq.core.tenancy import Quotas
from flunq.errors import (
    ConflictError,
    IdConflictError,
    NotFoundError,
    QuotaExceededError,
    RejectedError,
)
from flunq.services.replaying.service import Replaying
from flunq.services.worker import owner as owning
from tests.support.pausing import PauseDesk
from tests.support.virtual import HEAD, in_cluster, owner_of, settled, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

STEPS = (
    HEAD % "steps"
    + """
do:
- one: {call: step, with: {n: "${ .n }"}}
- two: {call: flaky, with: {n: "${ .n }", fails: 1}}
- three: {call: step, with: {n: "${ .n }"}}
"""
)
PAUSE = HEAD % "pause" + "do: [{one: {call: step, with: {n: 1}}}, {rest: {wait: PT1H}}]\n"


def replayed(situation: Callable[[Cluster, Client], Awaitable[Any]], **shape: Any) -> Any:
    """Run a situation on a cluster that can go back into histories."""

    async def run(cluster: Cluster, client: Client) -> Any:
        async with stream_of(cluster) as stream:
            replaying = Replaying(client, stream.requests)
            async with stream.requests.serve(replay_subject("default"), replaying.answer):
                return await situation(cluster, client)

    return in_cluster(run, **shape)


async def calls(cluster: Cluster, execution: str) -> list[str]:
    return [each.reference for each in cluster.ledger.effects if each.execution == execution]


async def faulted(client: Client, id: str = "x1") -> None:
    await client.apply(STEPS)
    run = await client.start("steps", {"n": 1}, id=id)
    assert (await run.wait(60)).status == "faulted"


def test_a_retry_runs_only_the_step_that_failed_and_those_after_it() -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        details = await client.retry("x1", reason="it was down")
        result = await client.result("x1", timeout=60)
        return details, result, await calls(cluster, "x1"), cluster.ledger.effects

    details, result, called, effects = replayed(situation)
    assert (details.status, result.status) == ("running", "completed")
    assert called == ["/do/0/one", "/do/1/two", "/do/1/two", "/do/2/three"]
    assert effects[1].key == effects[2].key
    assert effects[1].task != effects[2].task


def test_a_retry_finds_an_execution_that_lies_in_a_pack() -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        await elapse(20)
        assert "x1" not in owner_of(cluster).executions.finished
        await client.retry("x1")
        result = await client.result("x1", timeout=60)
        await elapse(20)
        again = await client.get("x1")
        types = [event.type async for event in client.history("x1")]
        return result.status, again.status, types.count("io.flunq.execution.retried")

    assert replayed(situation) == ("completed", "completed", 1)


@pytest.mark.parametrize("pause", [0.0, 0.5, 5.0])
def test_a_retry_survives_the_death_of_the_owner(pause: float) -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        await elapse(pause * 4)
        await client.retry("x1")
        await elapse(pause)
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        result = await client.result("x1", timeout=120)
        await settled(cluster)
        return result.status, [event.seq async for event in client.history("x1")]

    status, numbers = replayed(situation)
    assert (status, numbers) == ("completed", list(range(1, len(numbers) + 1)))


def test_an_execution_that_was_retried_is_one_in_lists_starts_and_deletion() -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        await client.retry("x1")
        with pytest.raises(ConflictError):
            await client.delete("x1")
        again = await client.start("steps", {"n": 1}, id="x1")
        await client.result("x1", timeout=60)
        listed = [(each.id, each.status) for each in await client.list()]
        await client.delete("x1")
        with pytest.raises(NotFoundError):
            await client.get("x1")
        return again.created, listed

    assert replayed(situation) == (False, [("x1", "completed")])


def test_what_is_under_way_or_done_is_not_retried() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await client.apply(PAUSE)
        await client.start("pause", id="x1")
        told = []
        for attempt in (client.retry("x1"), client.rewind("x1", at=1), client.retry("nobody")):
            with pytest.raises((ConflictError, NotFoundError)) as raised:
                await attempt
            told.append(f"{raised.value.message} {raised.value.hint}")
        return told

    retried, rewound, unknown = replayed(situation)
    assert "only what has ended" in retried
    assert "flunq suspend x1" in rewound
    assert "no execution nobody" in unknown


def test_a_client_cannot_say_what_a_state_was() -> None:
    async def situation(cluster: Cluster, client: Client) -> bytes:
        await faulted(client)
        ref = WorkflowRef(namespace="test", name="steps", version="1.0.0", digest="")
        forged = Restore(id="x1", kind="retried", workflow=ref, state={}, at=0, point=1)
        payload = msgspec.json.encode(Commands(commands=[forged]))
        async with stream_of(cluster) as stream:
            return await stream.requests.request(start_subject("default", 0), payload, timeout=5)

    assert b'"code":403' in replayed(situation)


def test_a_suspended_execution_is_rewound_and_goes_on_when_resumed() -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await client.apply(PAUSE)
        await client.start("pause", id="x1")
        await elapse(10)
        await client.suspend("x1")
        details = await client.rewind("x1", at=1)
        await client.resume("x1")
        await elapse(10)
        return details.status, await calls(cluster, "x1"), (await client.get("x1")).status

    status, called, later = replayed(situation)
    assert (status, called, later) == ("suspended", ["/do/0/one"] * 2, "waiting")


def test_a_fork_goes_on_under_another_id() -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        began = [
            event.seq
            async for event in client.history("x1")
            if event.type.endswith("task.created.v1")
        ]
        fork = await client.fork("x1", at=began[1] - 1, input={"n": 5}, new_id="x2")
        result = await client.result("x2", timeout=60)
        keys = {each.key for each in cluster.ledger.effects if each.execution == "x2"}
        return fork.id, result.status, await calls(cluster, "x2"), keys

    id_, status, called, keys = replayed(situation, partitions=3)
    assert (id_, status, called) == ("x2", "faulted", ["/do/1/two"])
    assert keys == {"x2:/do/1/two"}


def test_a_fork_from_the_start_takes_another_input_and_version() -> None:
    newer = STEPS.replace("1.0.0", "2.0.0").replace("fails: 1", "fails: 0")

    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        await client.apply(newer)
        await client.fork("x1", input={"n": 7}, version="2.0.0", new_id="x2")
        result = await client.result("x2", timeout=60)
        first = (await anext(client.history("x2"))).value()
        with pytest.raises(IdConflictError):
            await client.fork("x1", new_id="x2")
        return result.status, first["input"], first["forked"], first["definition"]["version"]

    assert replayed(situation) == ("completed", {"n": 7}, {"from": "x1", "at": 0}, "2.0.0")


def test_an_open_execution_moves_to_another_version_and_stays_there() -> None:
    newer = PAUSE.replace("1.0.0", "2.0.0").replace("PT1H}}]", "PT1H}}, {last: {set: {v: 2}}}]")
    other = PAUSE.replace("1.0.0", "3.0.0").replace("rest", "sleep")

    async def situation(cluster: Cluster, client: Client) -> Any:
        for text in (PAUSE, newer, other):
            await client.apply(text)
        await client.start("pause:1.0.0", id="x1")
        await elapse(10)
        with pytest.raises(RejectedError, match="/do/1/rest is not in it"):
            await client.migrate("x1", "3.0.0", dry_run=True)
        await client.migrate("x1", "2.0.0")
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        result = await client.result("x1", timeout=9_000)
        return result.output, (await client.get("x1")).version

    assert replayed(situation) == ({"v": 2}, "2.0.0")


def test_a_fork_that_is_tried_answers_from_the_record() -> None:
    changed = STEPS.replace("1.0.0", "2.0.0").replace("- three: {call: step", "- new: {call: step")

    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        await client.retry("x1")
        await client.result("x1", timeout=60)
        await client.apply(changed)
        before = len(cluster.ledger.effects)
        same = await client.control.try_fork("x1")
        other = await client.control.try_fork("x1", version="2.0.0")
        edited = await client.control.try_fork("x1", input={"n": 2})
        return same, other, edited, len(cluster.ledger.effects) - before

    same, other, edited, called = replayed(situation)
    assert (same.status, same.changed, same.same, called) == ("completed", [], 3, 0)
    assert (other.status, other.changed) == ("diverged", [])
    assert "/do/2/new" in other.stopped_at
    assert [change.task for change in edited.changed] == ["/do/0/one"]


@pytest.mark.parametrize("moment", [0.0001 * 2**number for number in range(14)])
def test_a_retry_happens_once_whenever_the_owner_dies(moment: float) -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await faulted(client)
        retried = asyncio.create_task(client.retry("x1"))
        await elapse(moment)
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        await retried
        result = await client.result("x1", timeout=120)
        return result.status, [(event.seq, event.type) async for event in client.history("x1")]

    status, events = replayed(situation)
    assert status == "completed"
    assert [seq for seq, _ in events] == list(range(1, len(events) + 1))
    assert [type for _, type in events].count("io.flunq.execution.retried") == 1


def test_a_large_state_and_a_large_input_go_back_too() -> None:
    large = "x" * 1_500_000

    async def situation(cluster: Cluster, client: Client) -> Any:
        await client.apply(STEPS)
        run = await client.start("steps", {"n": 1, "pad": large}, id="x1")
        assert (await run.wait(60)).status == "faulted"
        await client.retry("x1", input={"n": 4, "pad": large})
        first = await client.result("x1", timeout=60)
        fork = await client.fork("x1", at=4, input={"n": 9, "pad": large}, new_id="x2")
        await client.result("x2", timeout=60)
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        return first.status, fork.status, len((await client.get("x2")).input["pad"])

    assert replayed(situation) == ("completed", "running", len(large))


def test_a_child_is_not_told_twice_and_a_parent_starts_another() -> None:
    parent = (
        HEAD % "parent"
        + "do: [{kid: {run: {workflow: {namespace: test, name: steps, version: 1.0.0, "
        + "input: {n: 1}}}}}]\n"
    )

    async def situation(cluster: Cluster, client: Client) -> Any:
        await client.apply(STEPS)
        await client.apply(parent)
        run = await client.start("parent", id="p")
        assert (await run.wait(60)).status == "faulted"
        (kid,) = [each.id for each in await client.list() if each.id != "p"]
        await client.retry(kid)
        alone = await client.result(kid, timeout=60)
        unmoved = (await client.get("p")).status
        await client.retry("p")
        await client.result("p", timeout=60)
        return alone.status, unmoved, len(await client.list())

    assert replayed(situation, partitions=2) == ("completed", "faulted", 3)


def test_what_was_set_aside_goes_on_once_the_defect_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = [True]

    def fragile(state: Any, command: Any, *rest: Any) -> Any:
        if isinstance(command, Report) and broken:
            raise ZeroDivisionError
        return decide(state, command, *rest)

    monkeypatch.setattr(owning, "decide", fragile)

    async def situation(cluster: Cluster, client: Client) -> Any:
        await client.apply(PAUSE)
        run = await client.start("pause", id="x1")
        assert (await run.wait(60)).status == "quarantined"
        broken.clear()
        await client.retry("x1")
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        result = await client.result("x1", timeout=9_000)
        return result.status, await calls(cluster, "x1")

    status, called = replayed(situation)
    assert status == "completed"
    assert called[:2] == ["/do/0/one", "/do/0/one"]


def test_a_fork_may_use_the_secrets_of_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUNQ_SECRET_KEY", '{"word": "sesame"}')
    text = (
        HEAD % "secretive"
        + """
use: {secrets: [key]}
do:
- one: {call: step, with: {n: 1, word: "${ $secrets.key.word }"}}
- two: {call: flaky, with: {n: 1, fails: 0, word: "${ $secrets.key.word }"}}
"""
    )

    async def situation(cluster: Cluster, client: Client) -> Any:
        await client.apply(text)
        run = await client.start("secretive", id="x1")
        await run.wait(60)
        at = await client.control.point("x1", "two")
        await client.fork("x1", at=at, new_id="x2")
        await client.fork("x1", new_id="x3")
        ends = [await client.result(id_, timeout=60) for id_ in ("x1", "x2", "x3")]
        grants = [(await anext(client.history(id_))).value()["secrets"]["nonce"] for id_ in IDS]
        return {end.status for end in ends}, grants

    ends, (first, second, third) = replayed(situation)
    assert ends == {"completed"}
    assert first == second != third


IDS = ("x1", "x2", "x3")


def test_a_fork_counts_against_what_the_tenant_may_use() -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await client.apply(PAUSE)
        await client.start("pause", id="x1")
        await elapse(10)
        owner_of(cluster).context.quota.change(Quotas(executions=1))
        told = []
        for point in (None, 2):
            with pytest.raises(QuotaExceededError) as raised:
                await client.fork("x1", at=point)
            told.append(raised.value.status)
        return told, len(await client.list())

    assert replayed(situation) == ([429, 429], 1)


def test_a_fork_from_the_start_has_the_priority_of_its_origin() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[Any]:
        await client.apply(STEPS)
        await (await client.start("steps", {"n": 1}, id="x1", priority="high")).wait(60)
        await client.fork("x1", new_id="x2")
        await client.fork("x1", at=3, new_id="x3")
        return [[each.value() async for each in client.history(id)] for id in ("x2", "x3")]

    assert [events[0]["priority"] for events in replayed(situation)] == [8, 8]


def test_nothing_goes_back_and_on_at_once_while_its_workflow_is_paused() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await faulted(client)
        await client.apply(PAUSE)
        await client.start("pause", id="held")
        desk = PauseDesk(cluster)
        for name in ("steps", "pause"):
            await desk.pause(name)
        for refused in (client.retry("x1"), client.fork("x1", at=3, new_id="x2")):
            with pytest.raises(ConflictError, match="is paused"):
                await refused
        with pytest.raises(NotFoundError):
            await client.get("x2")
        assert (await client.fork("x1", new_id="x3")).status == "suspended"
        assert (await client.rewind("held", at=0)).status == "suspended"
        for name in ("steps", "pause"):
            await desk.resume(name)
        assert (await client.result("x3", timeout=60)).status == "faulted"
        assert (await client.retry("x1")).status == "running"

    replayed(situation)
