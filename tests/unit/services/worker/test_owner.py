from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flunq.core.claims import REFERENCE
from flunq.core.execution.commands import Deliver, Report, Start, WorkflowRef
from flunq.core.execution.decide import decide
from flunq.core.protocol import Reply
from flunq.errors import ConflictError, FlunqError, NotFoundError, RejectedError
from flunq.log.ports import OutcomeUnknownError
from flunq.services.wire import encode_commands
from flunq.services.worker import definitions as defining
from flunq.services.worker import owner as owning
from flunq.services.worker.commit import EPOCH_HEADER, NONCE_HEADER
from flunq.services.worker.jobs import Job
from tests.support.virtual import HEAD, in_cluster, owner_of, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.testing.cluster import Cluster

ONE_STEP = HEAD % "one" + "do: [{x: {call: step, with: {n: '${ .n }'}}}]\n"
TWO_STEPS = (
    HEAD % "two"
    + """
do:
- both:
    fork:
      branches:
      - a: {call: step, with: {n: 1}}
      - b: {call: step, with: {n: 2}}
"""
)
LISTENING = HEAD % "ears" + "do: [{hear: {listen: {to: {one: {with: {type: test.rang}}}}}}]\n"
WIDE = (
    HEAD % "wide"
    + """
do:
- one:
    set: {text: '${ .text }'}
    input: {from: '${ {text: (.text + "1")} }'}
    output: {as: '${ {text: (.text + "2")} }'}
    export: {as: '${ {text: (.text + "3")} }'}
- two:
    emit: {event: {with: {source: "https://example.com", type: test.wide, data: '${ . }'}}}
    input: {from: '${ {text: (.text + "4")} }'}
    output: {as: '${ {text: ($input.text + "5")} }'}
    export: {as: '${ {text: (.text + "6")} }'}
"""
)


def break_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine's decision about outcomes fail half-way."""

    def broken(state: Any, command: Any, *rest: Any) -> Any:
        decided = decide(state, command, *rest)
        if isinstance(command, Report):
            raise ZeroDivisionError
        return decided

    monkeypatch.setattr(owning, "decide", broken)


async def history(client: Client, execution: str) -> list[str]:
    return [event.type async for event in client.history(execution)]


def test_what_reaches_a_quarantined_execution_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_reports(monkeypatch)

    async def situation(cluster: Cluster, client: Client) -> tuple[str, list[str]]:
        await client.apply(TWO_STEPS)
        run = await client.start("two", id="x1")
        owner = owner_of(cluster)
        tasks = list(owner.executions.live["x1"].state.tasks)  # type: ignore[union-attr]
        for task in tasks:
            owner.submit(Job(Report(id="x1", task=task, output={"n": 1})))
        return (await run.wait(20)).status, await history(client, "x1")

    status, types = in_cluster(situation)
    assert status == "quarantined"
    assert [one for one in types if "quarantined" in one] == types[-1:]


def test_an_event_that_breaks_a_listener_counts_as_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(state: Any, command: Any, *rest: Any) -> Any:
        if isinstance(command, Deliver):
            raise ZeroDivisionError
        return decide(state, command, *rest)

    monkeypatch.setattr(owning, "decide", broken)

    async def situation(cluster: Cluster, client: Client) -> int:
        await client.apply(LISTENING)
        run = await client.start("ears", id="x1")
        event = {"id": "e1", "source": "/test", "type": "test.rang"}
        (sequence,) = await client.emit([event])
        assert (await run.wait(20)).status == "quarantined"
        return owner_of(cluster).hearing.bus.floor - sequence

    assert in_cluster(situation) == 0


def test_an_event_that_cannot_be_written_sets_its_execution_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def spoiled(state: Any, command: Any, *rest: Any) -> Any:
        state, decision = decide(state, command, *rest)
        if isinstance(command, Report):
            for event in decision.events[-1:]:
                event.data["output"] = "\ud800"
        return state, decision

    monkeypatch.setattr(owning, "decide", spoiled)

    async def situation(cluster: Cluster, client: Client) -> tuple[str, list[str]]:
        await client.apply(ONE_STEP)
        run = await client.start("one", {"n": 1}, id="x1")
        return (await run.wait(20)).status, await history(client, "x1")

    status, types = in_cluster(situation)
    assert status == "quarantined"
    assert "quarantined" in types[-1]


def test_a_large_start_may_be_repeated() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[bool]:
        await client.apply(ONE_STEP)
        large = {"n": 1, "text": "x" * 300_000}
        first = await client.start("one", large, id="x1")
        again = await client.start("one", large, id="x1")
        assert await first.result(20) == {"n": 4}
        ended = await client.start("one", large, id="x1")
        with pytest.raises(FlunqError, match="other"):
            await client.start("one", {**large, "n": 2}, id="x1")
        return [run.created for run in (first, again, ended)]

    assert in_cluster(situation) == [True, False, False]


@pytest.mark.parametrize("stored", [False, True])
def test_no_client_gives_a_task_an_outcome_by_an_execution_that_says_it_is_its_child(
    *, stored: bool
) -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        cluster.ledger.duration = lambda call: 30.0  # type: ignore[method-assign]
        await client.apply(ONE_STEP)
        await client.apply(HEAD % "forged" + "do: [{x: {set: {n: 666}}}]\n")
        run = await client.start("one", {"n": 1}, id="x1")
        await elapse(1)
        [task] = (await client.get("x1")).waiting
        ref = WorkflowRef(namespace="test", name="forged", version="", digest="")
        start = Start(id="x2", workflow=ref, parent="x1", parent_task=task["id"])
        if stored:
            async with stream_of(cluster) as stream:
                body = encode_commands([start])
                await stream.inbox.publish(0, body, message_id="1", external=True)
        else:
            with pytest.raises(FlunqError, match="only the engine itself"):
                await client._send(start, 20)
        return await run.result(60)

    assert in_cluster(situation) == {"n": 4}


MISSING = {REFERENCE: {"key": "gone", "size": 3}}


@pytest.mark.parametrize("reference", [MISSING, {REFERENCE: 5}, {REFERENCE: {"key": 7}}])
def test_a_start_whose_input_is_nowhere_is_refused(reference: dict[str, Any]) -> None:
    async def situation(cluster: Cluster, client: Client) -> str:
        await client.apply(ONE_STEP)
        ref = WorkflowRef(namespace="test", name="one", version="", digest="")
        with pytest.raises(RejectedError):
            await client._send(Start(id="x1", workflow=ref, input=reference), 20)
        run = await client.start("one", {"n": 1}, id="x1")
        return (await run.wait(20)).status

    assert in_cluster(situation) == "completed"


def test_a_start_that_was_waiting_with_an_input_from_nowhere_ends_no_process() -> None:
    async def situation(cluster: Cluster, client: Client) -> int:
        await client.apply(ONE_STEP)
        machine = cluster.machines["m0"]
        machine.crash()
        ref = WorkflowRef(namespace="test", name="one", version="", digest="")
        start = Start(id="x1", workflow=ref, input=MISSING)
        async with stream_of(cluster) as stream:
            await stream.inbox.publish(0, encode_commands([start]), message_id="1", external=True)
        machine.start()
        run = await client.start("one", {"n": 1}, id="x2", timeout=30)
        assert await run.result(20) == {"n": 4}
        return machine.lives

    assert in_cluster(situation) == 2


def test_a_sleeper_that_cannot_be_read_for_a_while_wakes_later() -> None:
    async def situation(cluster: Cluster, client: Client) -> str:
        await client.apply(HEAD % "nap" + "do: [{rest: {wait: {hours: 2}}}]\n")
        run = await client.start("nap", id="x1")
        await elapse(10)
        owner = owner_of(cluster)
        assert "x1" not in owner.executions.live
        load, failures = owner.load, [OutcomeUnknownError("no answer")] * 2

        async def unsteady(execution: str) -> None:
            if failures:
                raise failures.pop()
            await load(execution)

        owner.load = unsteady
        assert await client.cancel("x1") == "cancelled"
        return (await run.wait(20)).status

    assert in_cluster(situation) == "cancelled"


@pytest.mark.parametrize("size", [80_000, 200_000, 261_000])
def test_a_commit_always_fits_one_message(size: int) -> None:
    async def situation(cluster: Cluster, client: Client) -> list[int]:
        await client.apply(WIDE)
        runs = [
            await client.start("wide", {"text": "x" * size}, id=f"x{number}") for number in range(4)
        ]
        for run in runs:
            assert (await run.wait(30)).status == "completed"
        return [len(record.data) for record in cluster.wire.journal.archive]

    assert max(in_cluster(situation)) < 1_000_000


def test_definitions_are_forgotten_that_nobody_used_of_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def situation(cluster: Cluster, client: Client) -> list[Any]:
        runs = []
        for number in range(10):
            await client.apply(HEAD % f"w{number}" + "do: [{a: {wait: {seconds: 20}}}]\n")
            runs.append(await client.start(f"w{number}", id=f"x{number}"))
        owner = owner_of(cluster)
        kept = len(owner.context.definitions._compiled), len(owner._environments)
        return [{(await run.wait(60)).status for run in runs}, max(kept)]

    for module in (owning, defining):
        monkeypatch.setattr(module, "KEPT", 3)
    assert in_cluster(situation) == [{"completed"}, 3]


def test_an_engine_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        text = "do: [{x: {set: {n: '${ [.n] | @sh }'}}}]\n"
        await client.apply(HEAD % "odd" + text)
        engine = owner_of(cluster).context.engine
        evaluate, failures = engine.evaluate, [OSError("no process")] * 2

        async def unsteady(need: Any) -> Any:
            if failures:
                raise failures.pop()
            return await evaluate(need)

        monkeypatch.setattr(engine, "evaluate", unsteady)
        run = await client.start("odd", {"n": 1})
        return (await run.wait(30)).status, len(failures)

    assert in_cluster(situation) == ("completed", 0)


def test_a_start_in_the_inbox_outlives_a_full_disk() -> None:
    async def situation(cluster: Cluster, client: Client) -> str:
        await client.apply(ONE_STEP)
        owner = owner_of(cluster)
        cluster.wire.full = True
        owner.doubt()
        await elapse(1)
        assert owner.committer.full
        ref = WorkflowRef(namespace="test", name="one", version="", digest="")
        body = encode_commands([Start(id="x1", workflow=ref, input={"n": 1})])
        cluster.wire.log("default/inbox").append("0", body, partition=0)
        await elapse(1)
        cluster.wire.full = False
        return (await client.result("x1", timeout=30)).status

    assert in_cluster(situation) == "completed"


def test_inputs_and_events_that_are_nested_too_deeply_stop_nobody() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[str, str]:
        await client.apply(ONE_STEP)
        await client.apply(LISTENING)
        listening = await client.start("ears", {})
        ref = WorkflowRef(namespace="test", name="one", version="", digest="")
        body = encode_commands([Start(id="x1", workflow=ref, input={"n": 1})])
        deep = body.replace(b'{"n":1}', b"[" * 100_000 + b"]" * 100_000)
        cluster.wire.log("default/inbox").append("0", deep, partition=0)
        bus = stream_of(cluster).bus
        for number, data in enumerate((b"[" * 100_000 + b"]" * 100_000, b"1")):
            event = b'{"type":"test.rang","data":%s}' % data
            await bus.publish("ext", event, type="test.rang", message_id=f"m{number}")
        run = await client.start("one", {"n": 2})
        return (await run.wait(30)).status, (await listening.wait(30)).status

    assert in_cluster(situation) == ("completed", "completed")


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("checkpoint_seconds", [0.2, 100.0])
def test_a_late_copy_of_a_start_does_not_bring_a_deleted_execution_back(
    crash: bool, checkpoint_seconds: float
) -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[bool, bool]:
        await client.apply(ONE_STEP)
        ref = WorkflowRef(namespace="test", name="one", version="", digest="")
        start = Start(id="x1", workflow=ref, input={"n": 1}, request="r1")
        await client._send(start, 10)
        await client.result("x1", timeout=20)
        await elapse(1)
        await client.delete("x1")
        await elapse(1)
        if crash:
            cluster.machines["m0"].crash()
            cluster.machines["m0"].start()
            await elapse(10)
        with pytest.raises(ConflictError, match="deleted"):
            await client._send(start, 10)
        body = encode_commands([start])
        cluster.wire.log("default/inbox").append("0", body, partition=0)
        await elapse(1)
        with pytest.raises(NotFoundError):
            await client.get("x1")
        again = await client.start("one", {"n": 2}, id="x1")
        return again.created, await again.result(20) == {"n": 7}

    assert in_cluster(situation, checkpoint_seconds=checkpoint_seconds) == (True, True)


def test_an_owner_that_was_replaced_says_of_nothing_that_it_is_not_there() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[bool, bool, list[Reply]]:
        owner = owner_of(cluster)
        before = await owner.still_owns()
        journal = owner.context.stream.journal
        last = await journal.last(owner.partition)
        assert last is not None
        others = {EPOCH_HEADER: "999", NONCE_HEADER: "another"}
        await journal.append(owner.partition, b"[]", expected=last.seq, headers=others)
        said: list[Reply] = []
        await owner._refuse_as_owner(said.append, Reply(code=404, id="x1"))
        return before, await owner.still_owns(), said

    assert in_cluster(situation) == (True, False, [])
