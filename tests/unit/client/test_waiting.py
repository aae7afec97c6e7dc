from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flunq.client.mailbox import ASK_AGAIN_SECONDS, ASK_ANYWAY_SECONDS
from flunq.client.sender import ANSWER_SECONDS, FLIGHTS
from flunq.errors import NotFoundError, UnavailableError
from flunq.log.ports import StoreFullError, TransportLostError
from flunq.testing.faults import Weather
from tests.support.virtual import HEAD, in_cluster
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.core.protocol import Result
    from flunq.testing.cluster import Cluster

LONG = HEAD % "long" + "do: [{x: {wait: {minutes: 10}}}]\n"
BRIEF = HEAD % "brief" + "do: [{x: {wait: {milliseconds: 200}}}]\n"


def test_whoever_waits_hears_that_nothing_can_be_asked_any_more() -> None:
    async def situation(cluster: Cluster, client: Client) -> None:
        await client.apply(LONG)
        run = await client.start("long")

        async def lost(*_: Any, **__: Any) -> bytes:
            raise TransportLostError("NATS closed the connection")

        client._mailbox._requests.request = lost  # type: ignore[method-assign]
        with pytest.raises(UnavailableError, match="any more"):
            await run.result(60)

    in_cluster(situation)


def test_the_result_of_a_start_that_failed_is_not_waited_for() -> None:
    async def situation(cluster: Cluster, client: Client) -> int:
        for _ in range(3):
            with pytest.raises(NotFoundError, match="no workflow"):
                await client.start("nobody", id="x1")
            with pytest.raises(NotFoundError, match="no execution x1"):
                await client.result("x1", timeout=30)
        return len(client._mailbox._expected)

    assert in_cluster(situation) == 0


def test_whoever_has_patience_hears_that_nobody_answers() -> None:
    async def situation(cluster: Cluster, client: Client) -> str:
        await client.apply(LONG)
        run = await client.start("long")
        cluster.wire.storms["test"] = Weather(lost=1.0)
        with pytest.raises(UnavailableError, match="not answered for 30 s"):
            await client.result(run.id, patience=30)
        cluster.wire.storms.clear()
        return (await client.result(run.id, patience=30)).status

    assert in_cluster(situation) == "completed"


def test_a_full_inbox_does_not_keep_a_command_from_its_owner() -> None:
    async def situation(cluster: Cluster, client: Client) -> str:
        await client.apply(LONG)
        run = await client.start("long", id="x1")

        async def full(*_: Any, **__: Any) -> int:
            raise StoreFullError("no space")

        client._stream.inbox.publish = full  # type: ignore[method-assign]
        cluster.wire.storms["test"] = Weather(lost=1.0)
        cancelling = asyncio.create_task(client.cancel("x1"))
        await elapse(4)
        cluster.wire.storms.clear()
        assert await cancelling == "cancelled"
        return (await run.wait(20)).status

    assert in_cluster(situation) == "cancelled"


def test_a_new_owner_is_asked_at_once_for_what_the_last_one_would_have_pushed() -> None:
    async def situation(cluster: Cluster, client: Client) -> float:
        await client.apply(BRIEF)
        run = await client.start("brief")
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        began = cluster.loop.time()
        assert (await run.wait(20)).status == "completed"
        return cluster.loop.time() - began

    assert in_cluster(situation) < ASK_AGAIN_SECONDS / 2


def test_commands_that_the_last_owner_took_along_are_repeated_at_once() -> None:
    async def situation(cluster: Cluster, client: Client) -> float:
        await client.apply(LONG)
        starts: list[asyncio.Task[Any]] = []
        for number in range(2 * FLIGHTS):  # half of them wait for a flight
            starts.append(asyncio.create_task(client.start("long", id=f"x{number}")))
            await elapse(0.0002)
        cluster.machines["m0"].crash()
        cluster.machines["m0"].start()
        began = cluster.loop.time()
        await asyncio.gather(*starts)
        return cluster.loop.time() - began

    assert in_cluster(situation) < ANSWER_SECONDS / 2


async def run_brief_ones(client: Client, seconds: float) -> None:
    """Have something pushed all the time."""
    await client.apply(BRIEF)
    for _ in range(round(seconds / 0.25)):
        await (await client.start("brief")).wait(10)


def test_owners_are_asked_less_while_they_are_heard() -> None:
    async def situation(_cluster: Cluster, client: Client) -> int:
        asked: list[int] = []
        ask = client._mailbox._ask_partition

        async def count(number: int, ids: list[str]) -> bool | None:
            asked.append(number)
            return await ask(number, ids)

        client._mailbox._ask_partition = count  # type: ignore[method-assign]
        await client.apply(LONG)
        waiting = asyncio.create_task((await client.start("long")).wait(1000))
        await run_brief_ones(client, 5 * ASK_ANYWAY_SECONDS)
        waiting.cancel()
        return len(asked)

    assert 3 <= in_cluster(situation) <= 5


def test_a_result_that_was_lost_is_asked_for_while_others_are_pushed() -> None:
    async def situation(_cluster: Cluster, client: Client) -> float:
        now, take = asyncio.get_running_loop().time, client._mailbox._take
        lost: list[str] = []

        def lose_first(result: Result) -> None:
            if result.id == "x1" and not lost:
                lost.append(result.id)
            else:
                take(result)

        client._mailbox._take = lose_first  # type: ignore[method-assign]
        await client.apply(BRIEF)
        run, began = await client.start("brief", id="x1"), now()
        waiting = asyncio.create_task(run.wait(60))
        others = asyncio.create_task(run_brief_ones(client, 5 * ASK_ANYWAY_SECONDS))
        await waiting
        others.cancel()
        assert lost
        return now() - began

    assert ASK_AGAIN_SECONDS < in_cluster(situation) < ASK_ANYWAY_SECONDS + 1
