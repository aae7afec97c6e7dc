"""Work that several ask for is done once."""

from __future__ import annotations

import asyncio

import pytest

from flunq.services.sharing import Shared


class Work:
    """Counts how often it is begun; goes on when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go_on.wait()
        return number


async def begin(shared: Shared[int], work: Work, count: int = 1) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(shared.result("key", work)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_all_who_ask_meanwhile_have_the_same_result() -> None:
    shared, work = Shared[int](), Work()
    tasks = await begin(shared, work, 3)
    work.go_on.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert await shared.result("key", work) == 2


async def test_whoever_gives_up_does_not_take_it_from_the_others() -> None:
    shared, work = Shared[int](), Work()
    first, second = await begin(shared, work, 2)
    first.cancel()
    work.go_on.set()
    assert await second == 1


async def test_a_failure_is_that_of_all_and_the_next_try_is_a_new_one() -> None:
    shared, tries = Shared[int](), 0

    async def fail() -> int:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        raise ValueError(tries)

    found = await asyncio.gather(
        *(shared.result("key", fail) for _ in range(2)), return_exceptions=True
    )
    assert [str(error) for error in found] == ["1", "1"]
    with pytest.raises(ValueError, match="2"):
        await shared.result("key", fail)


async def test_after_forgetting_it_begins_anew_beside_what_is_under_way() -> None:
    shared, work = Shared[int](), Work()
    (old,) = await begin(shared, work)
    shared.forget()
    (new,) = await begin(shared, work)
    work.go_on.set()
    assert (await old, await new) == (1, 2)


async def test_closing_stops_what_is_under_way() -> None:
    shared, work = Shared[int](), Work()
    (task,) = await begin(shared, work)
    await shared.aclose()
    with pytest.raises(asyncio.CancelledError):
        await task
