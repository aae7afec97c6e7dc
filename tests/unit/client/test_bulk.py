"""One command to many executions."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from flunq.client.bulk import IN_FLIGHT, Bulk, Outcome, Target
from flunq.errors import ConflictError, NotFoundError, UnavailableError
from flunq.testing.clock import VirtualLoop, run_virtually
from tests.support.waiting import elapse

TARGETS = [Target(id=f"e{number}", status="running") for number in range(200)]


async def cancelled(_: str) -> str:
    return "cancelled"


def bulk(act: object = cancelled, **changes: object) -> Bulk:
    return Bulk(act, wanted=frozenset({"cancelled"}), **changes)  # type: ignore[arg-type]


async def test_every_execution_is_tried_once_and_told_about() -> None:
    noted: list[Outcome] = []
    tried: Counter[str] = Counter()

    async def act(execution: str) -> str:
        tried[execution] += 1
        return "cancelled"

    work = bulk(act, noted=noted.append)
    await work.run(TARGETS)
    assert tried == dict.fromkeys((target.id for target in TARGETS), 1)
    assert noted == work.outcomes
    assert {outcome.result for outcome in noted} == {"done"}


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (NotFoundError("gone"), "unchanged"),
        (ConflictError("ended"), "unchanged"),
        (UnavailableError("nobody answers"), "failed"),
    ],
)
async def test_an_error_of_one_does_not_stop_the_others(error: Exception, result: str) -> None:
    async def act(execution: str) -> str:
        if execution == "e7":
            raise error
        return "cancelled"

    work = bulk(act)
    await work.run(TARGETS)
    (odd,) = [outcome for outcome in work.outcomes if outcome.result != "done"]
    assert (odd.id, odd.before, odd.result, odd.error) == ("e7", "running", result, str(error))
    assert len(work.outcomes) == len(TARGETS)


async def test_an_id_that_is_nobody_s_is_a_failure() -> None:
    async def act(_: str) -> str:
        raise NotFoundError("no execution e")

    work = bulk(act)
    await work.run([Target(id="e")])
    assert [(each.result, each.error) for each in work.outcomes] == [("failed", "no execution e")]


async def test_one_that_has_ended_otherwise_was_not_changed() -> None:
    async def act(_: str) -> str:
        return "completed"

    work = bulk(act)
    await work.run(TARGETS[:2])
    assert [(each.status, each.result) for each in work.outcomes] == [
        ("completed", "unchanged")
    ] * 2


async def test_only_so_many_are_under_way() -> None:
    most = running = 0

    async def act(_: str) -> str:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return "cancelled"

    await bulk(act).run(TARGETS)
    assert most == IN_FLIGHT


@pytest.mark.parametrize("slow", [0.0, 0.4])
def test_a_rate_is_kept(slow: float) -> None:
    loop = VirtualLoop()
    moments: list[float] = []

    async def act(_: str) -> str:
        moments.append(loop.time())
        await elapse(slow)
        return "cancelled"

    run_virtually(bulk(act, rate=20.0).run(TARGETS[:41]), loop)
    assert moments[-1] - moments[0] == pytest.approx(2.0, abs=0.06)


async def test_what_was_done_is_known_after_an_interruption() -> None:
    async def act(execution: str) -> str:
        if execution == "e5":
            raise asyncio.CancelledError
        return "cancelled"

    work = bulk(act)
    task = asyncio.create_task(work.run(TARGETS[:6]))
    await asyncio.wait([task])
    assert {outcome.id for outcome in work.outcomes} <= {target.id for target in TARGETS[:5]}
