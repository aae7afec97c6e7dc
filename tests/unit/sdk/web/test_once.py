from __future__ import annotations

import asyncio

import pytest

from flunq.sdk.executor import ERRORS, TaskError
from flunq.sdk.web.once import Once


class Work:
    """Counts its beginnings, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.started = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        self.started.set()
        await self.end.wait()
        return self.begun


async def test_work_in_flight_is_shared_and_then_begins_anew() -> None:
    once, work = Once(), Work()
    work.end.set()
    assert await asyncio.gather(*(once.run("k", work, 5) for _ in range(9))) == [1] * 9
    assert await once.run("k", work, 5) == 2


async def test_keys_are_apart() -> None:
    once, work = Once(), Work()
    work.end.set()
    await asyncio.gather(once.run("a", work, 5), once.run("b", work, 5))
    assert work.begun == 2


async def test_it_goes_on_when_one_gives_up() -> None:
    once, work = Once(), Work()
    first = asyncio.create_task(once.run("k", work, 5))
    await work.started.wait()
    second = asyncio.create_task(once.run("k", work, 5))
    first.cancel()
    work.end.set()
    assert await second == 1
    assert first.cancelled()


async def test_it_has_a_time_limit() -> None:
    with pytest.raises(TaskError) as caught:
        await Once().run("k", Work(), 0.01)
    assert (caught.value.type, caught.value.status) == (f"{ERRORS}communication", 504)


async def test_what_is_closed_is_not_waited_for() -> None:
    once, work = Once(), Work()
    waiting = asyncio.create_task(once.run("k", work, 5))
    await work.started.wait()
    once.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
