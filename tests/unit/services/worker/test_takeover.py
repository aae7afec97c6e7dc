"""What a new owner takes up, while other things happen already."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flunq.core.execution.commands import Start, WorkflowRef
from flunq.core.ids import partition_of
from flunq.log.memory.stream import MemoryBus
from flunq.log.ports import OutcomeUnknownError
from flunq.services.wire import encode_commands
from flunq.services.worker.adoption import Adoption
from flunq.services.worker.definitions import Definitions
from flunq.services.worker.outbox import Outbox
from flunq.services.worker.packs import Packs
from tests.support.virtual import HEAD, in_cluster, owner_of, settled, stream_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    import pytest

    from flunq.client.client import Client
    from flunq.client.run import Run
    from flunq.testing.cluster import Cluster, Machine

EARS = HEAD % "ears" + "do: [{hear: {listen: {to: {one: {with: {type: test.rang}}}}}}]\n"
RING = (
    HEAD % "ring"
    + """
do:
- ring:
    emit: {event: {with: {source: 'https://example.com', type: test.rang, data: {n: 9}}}}
"""
)
SET = HEAD % "set" + "do: [{x: {set: {n: 1}}}]\n"
WATCH = (
    HEAD % "watch"
    + """
do:
- hear:
    listen: {to: {one: {with: {type: io.serverlessworkflow.workflow.completed.v1}}}, read: envelope}
"""
)


def rang(number: int) -> dict[str, Any]:
    return {"id": f"e{number}", "source": "/test", "type": "test.rang", "data": {"n": number}}


def slow(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, seconds: float = 1.0) -> None:
    """Let a step take a while, as it does on a busy machine."""
    usual = getattr(kind, name)

    async def slowly(*arguments: Any) -> Any:
        await elapse(seconds)
        return await usual(*arguments)

    monkeypatch.setattr(kind, name, slowly)


def owns(machine: Machine, partition: int) -> bool:
    manager = machine.node.manager if machine.node is not None else None
    return manager is not None and manager.partition(partition) is not None


async def begun(client: Client, workflow: str, id: str) -> asyncio.Task[Run]:
    """Let a start get into the inbox while nobody owns its partition."""
    starting = asyncio.create_task(client.start(workflow, id=id))
    await elapse(4)
    return starting


def test_who_begins_to_listen_in_a_take_over_hears_nothing_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[str, Any]:
        await client.apply(EARS)
        first = await client.start("ears", id="x1")
        await client.emit([rang(1)])
        await first.wait(20)
        await client.emit([rang(2)])
        await elapse(1)
        machine = cluster.machines["m0"]
        machine.crash()
        starting = await begun(client, "ears", "x2")
        slow(monkeypatch, Adoption, "adopt")
        machine.start()
        run = await starting
        await elapse(5)
        status = (await run.get()).status
        await client.emit([rang(3)])
        return status, (await run.wait(20)).output

    assert in_cluster(situation) == ("waiting", [{"n": 3}])


def test_who_begins_to_listen_in_a_take_over_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def situation(cluster: Cluster, client: Client) -> Any:
        await client.apply(EARS)
        machine = cluster.machines["m0"]
        machine.crash()
        starting = await begun(client, "ears", "x1")
        slow(monkeypatch, MemoryBus, "last_seq")
        machine.start()
        await settled(cluster)
        while not owner_of(cluster).hearing.listeners:
            await elapse(0.01)
        await client.emit([rang(1)])
        return (await (await starting).wait(20)).output

    assert in_cluster(situation) == [{"n": 1}]


def test_what_was_not_out_yet_is_let_out_by_whoever_owns_the_partition_after_two_crashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = True
    send = Outbox._send

    async def sent(outbox: Outbox, item: dict[str, Any]) -> None:
        if held:
            raise OutcomeUnknownError("the bus cannot be reached")
        await send(outbox, item)

    monkeypatch.setattr(Outbox, "_send", sent)

    async def situation(cluster: Cluster, client: Client) -> Any:
        nonlocal held
        for document in (EARS, RING, SET):
            await client.apply(document)
        run = await client.start("ears", id="x1")
        await elapse(5)
        assert "x1" not in owner_of(cluster).executions.live
        await (await client.start("ring", id="x2")).wait(20)
        machine = cluster.machines["m0"]
        machine.crash()
        starting = [await begun(client, "set", f"y{n}") for n in range(2)]
        slow(monkeypatch, Packs, "load")
        machine.start()
        await settled(cluster)
        await asyncio.gather(*starting)
        await elapse(3)
        machine.crash()
        held = False
        machine.start()
        return (await run.wait(30)).output

    assert in_cluster(situation) == [{"n": 9}]


def test_lifecycle_events_from_before_a_take_over_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[str, str]:
        for document in (WATCH, SET):
            await client.apply(document)
        names = [f"x{number}" for number in range(20)]
        mine = (name for name in names if partition_of(name, 2) == 0)
        theirs = next(name for name in names if partition_of(name, 2) == 1)
        run = await client.start("watch", id=next(mine))
        next(each for each in cluster.machines.values() if owns(each, 0)).crash()
        await (await client.start("set", id=theirs)).wait(20)
        slow(monkeypatch, Adoption, "adopt")
        await client.start("watch", id=next(mine))
        return theirs, (await run.wait(20)).output[0]["subject"]

    theirs, heard = in_cluster(situation, machines=2, partitions=2)
    assert heard == theirs


def test_an_input_of_several_commands_counts_as_read_when_all_of_them_are_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        for document in (SET, EARS):
            await client.apply(document)
        await (await client.start("set", id="x0")).wait(20)
        slow(monkeypatch, Definitions, "_compile")
        ids = ("x1", "x2")
        refs = [
            WorkflowRef(namespace="test", name=name, version="1.0.0", digest="")
            for name in ("ears", "set")
        ]
        starts: list[Any] = [
            Start(id=name, workflow=ref) for name, ref in zip(ids, refs, strict=True)
        ]
        inbox = stream_of(cluster).inbox
        await inbox.publish(0, encode_commands(starts), message_id="both", external=True)
        while not owner_of(cluster).executions.knows("x2"):
            await elapse(0.01)
        await owner_of(cluster).committer.flushed()
        assert not owner_of(cluster).executions.knows("x1")
        machine = cluster.machines["m0"]
        machine.crash()
        machine.start()
        await settled(cluster)
        await elapse(5)
        return [(await client.get(name)).status for name in ids]

    assert in_cluster(situation) == ["waiting", "completed"]
