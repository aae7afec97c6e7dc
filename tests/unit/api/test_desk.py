"""Where HTTP workers get tasks: each goes to somebody who asked for its kind, whoever gives up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from flunq.api.tasks.desk import Desk
from flunq.core.execution.effects import Dispatch, Withdraw
from flunq.services.wire import encode_dispatch, encode_withdrawals
from flunq.testing.clock import VirtualLoop, run_virtually
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

KINDS = ("function:first", "function:second")


class Delivery:
    """A task from the queue that notes what it is told."""

    deliveries = 1

    def __init__(self, kind: str, task: str) -> None:
        dispatch = Dispatch(
            execution="x1", task=task, kind=kind, reference="/do/0/a", key=task, attempt=1,
            arguments={}, deadline=None,
        )  # fmt: skip
        self.data = encode_dispatch(dispatch)
        self.told: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    async def ack(self) -> None:
        self.told.append("ack")

    async def retry(self, _delay: float) -> None:
        await self.free.wait()
        self.told.append("retry")

    async def extend(self) -> None:
        self.told.append("extend")


class Stream:
    """Tasks that come only from the tests, and requests that nobody makes."""

    def __init__(self) -> None:
        self.tasks = self.requests = self

    async def pull(self, _kinds: Any, limit: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield limit

    @asynccontextmanager
    async def serve(self, _subject: str, _handler: Any) -> AsyncIterator[None]:
        yield

    listen = serve


def desk() -> Desk:
    async def nothing() -> None:
        return

    return Desk(
        cast("Any", SimpleNamespace(tenant="default")),
        cast("Any", Stream()),
        cast("Any", None),
        cast("Any", SimpleNamespace(aclose=nothing)),
        name="desk",
    )


def virtually(situation: Coroutine[Any, Any, None]) -> None:
    run_virtually(situation, VirtualLoop(patience=10_000))


def test_a_task_whose_poller_gives_up_goes_to_those_who_ask_for_its_kind() -> None:
    async def situation() -> None:
        tasks = desk()
        polling = asyncio.create_task(tasks.poll(KINDS, 60, 30))
        await elapse(1)
        tasks._lane(KINDS[1]).offer(cast("Any", Delivery(KINDS[1], "t1")))
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        assert await tasks.poll(KINDS[:1], 1, 30) is None
        held = await tasks.poll(KINDS[1:], 1, 30)
        assert held is not None
        assert held.dispatch.kind == KINDS[1]

    virtually(situation())


def test_a_task_that_is_withdrawn_while_another_lease_ends_ends_no_desk() -> None:
    async def situation() -> None:
        tasks, ready = desk(), asyncio.Event()
        running = asyncio.create_task(tasks.run(ready))
        first, second = Delivery(KINDS[0], "t1"), Delivery(KINDS[0], "t2")
        first.free.clear()
        for delivery in (first, second):
            tasks._lane(KINDS[0]).offer(cast("Any", delivery))
            held = await tasks.poll(KINDS[:1], 1, 30)
            assert held is not None
        await elapse(31)  # both leases are over, and the queue does not answer
        gone = Withdraw(execution="x1", task="t2", kind=KINDS[0])
        tasks._take_withdrawals(encode_withdrawals([gone]))
        first.free.set()
        await elapse(1)
        assert not running.done()
        assert (first.told[-1], second.told[-1]) == ("retry", "ack")
        running.cancel()

    virtually(situation())
