"""Checkpoints that fail half-way: nobody is lost, and nothing is left lying about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from flunq.log.ports import OutcomeUnknownError
from flunq.services.worker.checkpoint import MERGED, SLICE, Checkpointer
from tests.support.virtual import HEAD, client_of, in_cluster, owner_of, store_of
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.client.client import Client
    from flunq.services.worker.packs import Packs
    from flunq.testing.cluster import Cluster

HOLD = HEAD % "hold" + "do: [{x: {set: {text: '${ .text }'}}}, {y: {wait: {hours: 1}}}]\n"
CHECKPOINT = 2.0
LARGE = "x" * 50_000
"""Together they are more than one pack, and each of them is less than half of one."""


def fail_once(packs: Packs, method: str, *, call: int) -> None:
    """Let one of the next calls of a method be of unknown outcome."""
    original = getattr(packs, method)
    calls: list[None] = []

    async def unsteady(*rest: Any) -> None:
        calls.append(None)
        if len(calls) == call:
            raise OutcomeUnknownError("an election")
        await original(*rest)

    setattr(packs, method, unsteady)


async def after_a_failure(cluster: Cluster, client: Client, method: str, *, call: int) -> list[str]:
    """Let small packs be merged by a checkpoint that fails; return who is known after that."""
    await client.apply(HOLD)
    names = [f"e{number}" for number in range(MERGED)]
    for name in names:
        await client.start("hold", {"text": LARGE}, id=name)
        await elapse(1.5 * CHECKPOINT)
    fail_once(owner_of(cluster).heeding._packs, method, call=call)
    await client.start("hold", {"text": ""}, id="last")
    await elapse(10 * CHECKPOINT)
    cluster.machines["m0"].crash()
    cluster.machines["m0"].start()
    async with client_of(cluster) as other:
        return [(await other.get(name)).status for name in (*names, "last")]


def test_a_checkpoint_that_fails_between_two_packs_loses_nobody() -> None:
    async def situation(cluster: Cluster, client: Client) -> list[str]:
        return await after_a_failure(cluster, client, "store", call=2)

    found = in_cluster(situation, checkpoint_seconds=CHECKPOINT)
    assert found == ["waiting"] * (MERGED + 1)


def test_what_a_failed_checkpoint_replaced_is_discarded_by_the_next() -> None:
    async def situation(cluster: Cluster, client: Client) -> tuple[int, int]:
        await after_a_failure(cluster, client, "store_checkpoint", call=1)
        packs = owner_of(cluster).heeding._packs
        async with store_of(cluster) as store:
            keys = await store.state.keys()
        stored = sum(".pack." in key for key in keys)
        return stored, len((await packs.load_checkpoint()).packs)

    stored, listed = in_cluster(situation, checkpoint_seconds=CHECKPOINT)
    assert stored == listed


async def meanwhile(cluster: Cluster, client: Client, act: Callable[[], Awaitable[None]]) -> str:
    """Let something happen to one of many executions while a checkpoint encodes them."""
    await client.apply(HOLD)
    for number in range(2 * SLICE):
        await client.start("hold", {"text": number}, id=f"e{number}")
    give_way = Checkpointer._give_way
    pauses: list[None] = []

    async def acting(checkpointer: Checkpointer) -> None:
        pauses.append(None)
        if len(pauses) == 1:
            await act()
        await give_way(checkpointer)

    with patch.object(Checkpointer, "_give_way", acting):
        while not pauses:
            await elapse(0.1)
        await elapse(0.5 * CHECKPOINT)
    cluster.machines["m0"].crash()
    cluster.machines["m0"].start()
    async with client_of(cluster) as other:
        return (await other.get(f"e{2 * SLICE - 1}")).status


def test_what_ends_while_a_checkpoint_encodes_others_is_whole_in_it() -> None:
    async def situation(cluster: Cluster, client: Client) -> str:
        async def cancel() -> None:
            await client.cancel(f"e{2 * SLICE - 1}")

        return await meanwhile(cluster, client, cancel)

    assert in_cluster(situation, checkpoint_seconds=CHECKPOINT) == "cancelled"
