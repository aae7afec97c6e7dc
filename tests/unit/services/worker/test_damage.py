from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.claims import REFERENCE
from flunq.log.ports import OutcomeUnknownError
from flunq.services.worker.suspects import Suspects
from flunq.testing.faults import Weather
from tests.support.virtual import HEAD, client_of, in_cluster, owner_of, store_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    import pytest

    from flunq.client.client import Client
    from flunq.log.memory.log import MemoryLog
    from flunq.testing.cluster import Cluster

HOLD = HEAD % "hold" + "do: [{x: {set: {text: '${ .text }'}}}, {y: {wait: {hours: 1}}}]\n"
LOOKALIKE = (
    HEAD % "alike"
    + """
do:
- one: {call: step, with: {n: 1}}
- two: {set: {$flunq.blob: 5}}
- three: {wait: {seconds: 20}}
"""
)
TELL = (
    HEAD % "tell"
    + "do: [{x: {emit: {event: {with: {source: 'https://example.com', type: test.told}}}}}]\n"
)
SLOW = HEAD % "slow" + "do: [{x: {call: slow, with: {n: 1}}}]\n"


def test_an_execution_whose_large_value_is_lost_is_set_aside_alone() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await client.apply(HOLD)
        large = await client.start("hold", {"text": "x" * 5000}, id="large")
        small = await client.start("hold", {"text": "x"}, id="small")
        cluster.machines["m0"].crash()
        cluster.wire.blobs.clear()
        cluster.machines["m0"].start()
        statuses = [(await large.wait(60)).status]
        await small.cancel()
        return [*statuses, (await small.wait(60)).status]

    shape = {"blob_threshold": 3000, "checkpoint_seconds": 100.0}
    assert in_cluster(situation, **shape) == ["quarantined", "cancelled"]


async def lose_a_definition(cluster: Cluster, client: Client, *, asleep: bool) -> None:
    """Let two executions wait, one of them without its definition after a crash."""
    for name in ("lost", "kept"):
        await client.apply(HEAD % name + "do: [{x: {wait: {minutes: 3}}}]\n")
        await client.start(name, id=name)
    await elapse(30)
    assert asleep != bool(owner_of(cluster).executions.live)
    digest = (await client.get("lost")).digest
    async with store_of(cluster) as store:
        await store.definitions.delete(f"default.d.{digest}")
    cluster.machines["m0"].crash()
    cluster.machines["m0"].start()


def test_sleepers_wake_in_time_when_the_definition_of_another_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def situation(cluster: Cluster, client: Client) -> str:
        await lose_a_definition(cluster, client, asleep=True)
        async with client_of(cluster) as other:
            return (await other.result("kept", timeout=300)).status

    assert in_cluster(situation, checkpoint_seconds=2.0) == "completed"
    assert caplog.text.count("execution lost cannot go on") == 1


def test_an_execution_in_memory_whose_definition_is_lost_is_set_aside_alone() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await lose_a_definition(cluster, client, asleep=False)
        async with client_of(cluster) as other:
            return [(await other.result(name, timeout=300)).status for name in ("kept", "lost")]

    assert in_cluster(situation, checkpoint_seconds=100.0) == ["completed", "quarantined"]


def test_a_take_over_that_does_not_get_to_its_end_keeps_no_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look, failures = Suspects.look, [OutcomeUnknownError("no answer")] * 3

    async def unsteady(suspects: Suspects, *, graceful: bool) -> None:
        if failures:
            raise failures.pop()
        await look(suspects, graceful=graceful)

    async def situation(cluster: Cluster, client: Client) -> int:
        await client.apply(HOLD)
        await client.start("hold", {"text": "x"}, id="x1")
        await elapse(30)
        monkeypatch.setattr(Suspects, "look", unsteady)
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        async with client_of(cluster) as other:
            assert (await other.get("x1")).status == "waiting"
        assert not failures
        index = owner_of(cluster).context.places.connection()
        [(tables,)] = index.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        return int(tables)

    assert in_cluster(situation, checkpoint_seconds=2.0) == 1


def test_a_journal_that_lost_its_end_hides_nothing_of_what_follows() -> None:
    """As after a power cut with a fast durability: the checkpoint outlived the commits."""

    async def situation(cluster: Cluster, client: Client) -> list[str]:
        await client.apply(HOLD)
        machine = cluster.machines["m0"]
        for number in range(6):
            await client.start("hold", {"text": "x"}, id=f"old-{number}")
        await elapse(3)
        machine.crash()
        cut(cluster.wire.journal, 3)
        machine.start()
        await client.start("hold", {"text": "y"}, id="new", timeout=30)
        machine.crash()
        machine.start()
        async with client_of(cluster) as other:
            return [(await other.get(one)).status for one in ("old-5", "new")]

    assert in_cluster(situation, checkpoint_seconds=2.0) == ["waiting", "waiting"]


def cut(log: MemoryLog, left: int) -> None:
    """Let a stream end earlier than it did."""
    while log.last_seq > left:
        gone = log._records.pop()
        log._subjects[gone.subject].remove(gone)
        log.last_seq -= 1


def test_data_that_looks_like_the_engines_own_stays_what_it_is() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[Any]:
        await client.apply(LOOKALIKE)
        run = await client.start("alike", {REFERENCE: 7}, id="x1")
        machine = cluster.machines["m0"]
        for _ in range(2):
            await elapse(4)
            machine.crash()
            machine.start()
        output = await run.result(60)
        details = await client.get("x1")
        async with client_of(cluster) as other:
            again = await other.result("x1", timeout=20)
        repeated = await client.start("alike", {REFERENCE: 7}, id="x1")
        return [output, details.output, again.output, details.input, repeated.created]

    alike = {REFERENCE: 5}
    for seconds in (0.5, 100.0):
        found = in_cluster(situation, checkpoint_seconds=seconds)
        assert found == [alike, alike, alike, {REFERENCE: 7}, False]


def test_what_a_commit_promised_is_kept_whatever_goes_wrong() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[int, bool]:
        await client.apply(TELL)
        outbox = owner_of(cluster).outbox
        bus = outbox._context.stream.bus
        publish, failures = bus.publish, [ValueError("odd"), OSError("odd")]

        async def unsteady(*rest: Any, **named: Any) -> int:
            if failures:
                raise failures.pop()
            return await publish(*rest, **named)

        bus.publish = unsteady  # type: ignore[method-assign]
        await (await client.start("tell", id="x1")).result(20)
        await elapse(5)
        owner = owner_of(cluster)
        return await bus.last_seq(), outbox.released_through == owner.committer.position

    assert in_cluster(situation) == (1, True)


def test_a_task_that_was_committed_and_never_released_is_released_later() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[str, int]:
        await client.apply(SLOW)
        dispatcher = owner_of(cluster).context.dispatcher
        submit = dispatcher.submit
        dropped: list[str] = []

        def forgetful(dispatch: Any) -> None:
            if dropped:
                submit(dispatch)
            dropped.append(dispatch)

        dispatcher.submit = forgetful  # type: ignore[method-assign]
        run = await client.start("slow", id="x1")
        return (await run.wait(60)).status, len(cluster.ledger.effects)

    assert in_cluster(situation) == ("completed", 1)


def test_tasks_of_a_node_that_does_not_answer_but_lives_are_left_to_it() -> None:
    async def situation(cluster: Cluster, client: Client) -> int:
        cluster.ledger.duration = lambda call: 30.0  # type: ignore[method-assign]
        await client.apply(SLOW)
        for number in range(8):
            await client.start("slow", id=f"x{number}")
        cluster.add("m1")
        cluster.wire.storms["m1"] = Weather(lost=1.0)
        await elapse(15)
        assert any(owner_of(cluster, n).context.settings.node == "m1" for n in range(4))
        del cluster.wire.storms["m1"]
        for number in range(8):
            await client.result(f"x{number}", timeout=90)
        return len(cluster.ledger.effects)

    assert in_cluster(situation, partitions=4) == 8
