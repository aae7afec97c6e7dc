"""Slots that several tenants share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from flunq.core.execution.effects import Dispatch
from flunq.sdk.context import ExecutorContext
from flunq.sdk.executor import Call, Executor
from flunq.sdk.secrets import EnvironmentSecrets
from flunq.services.executor.pool import ExecutorPool
from flunq.services.executor.shares import PoolShares

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.core.execution.commands import Report
    from flunq.sdk.context import TaskContext


def dispatch(task: str) -> Dispatch:
    return Dispatch(
        execution="e1",
        task=task,
        kind="gate",
        reference="/do/0/x",
        key="k",
        attempt=1,
        arguments=None,
    )


class Gate(Executor):
    """Calls end one at a time, as the test says; the output is what the call saw."""

    kinds = ("gate",)

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(0)

    async def execute(self, call: Call, context: TaskContext) -> Any:
        await self.turns.acquire()
        return context.shared.kept.setdefault("name", "nobody")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def shares(gate: Gate) -> AsyncIterator[PoolShares]:
    async with ExecutorPool([gate], capacity=8, grace=0.05) as pool:
        yield PoolShares(pool)


def named(name: str) -> ExecutorContext:
    context = ExecutorContext(secrets=EnvironmentSecrets())
    context.kept["name"] = name
    return context


async def test_one_tenant_alone_may_have_every_slot(shares: PoolShares) -> None:
    one = shares.share("one")
    assert [one.submit(dispatch(f"t{n}")) for n in range(9)] == [True] * 8 + [False]


async def test_one_of_several_leaves_a_quarter_to_the_others(shares: PoolShares) -> None:
    one, two = shares.share("one"), shares.share("two")
    assert sum(one.submit(dispatch(f"t{n}")) for n in range(9)) == 6
    assert sum(two.submit(dispatch(f"t{n}")) for n in range(9)) == 2
    assert (one.free(), two.free()) == (0, 0)


async def test_a_free_slot_goes_to_whoever_runs_least(gate: Gate, shares: PoolShares) -> None:
    one, two = shares.share("one"), shares.share("two")
    offered: list[str] = []
    one.when_free(lambda: offered.append("one"))
    two.when_free(lambda: offered.append("two"))
    for share in (one, two):
        for number in range(9):
            share.submit(dispatch(f"t{number}"))
    gate.turns.release()
    async with asyncio.timeout(5):
        while not offered:
            await asyncio.sleep(0)
    assert offered == ["two", "one"]


async def test_the_same_task_of_two_tenants_is_two_tasks(gate: Gate, shares: PoolShares) -> None:
    done: asyncio.Queue[tuple[str, Report]] = asyncio.Queue()
    for name in ("one", "two"):
        share = shares.share(name, named(name))
        share.submit(dispatch("t1"), lambda report, name=name: done.put_nowait((name, report)))  # type: ignore[misc]
    gate.turns.release()
    gate.turns.release()
    async with asyncio.timeout(5):
        seen = [await done.get() for _ in range(2)]
    assert {name: report.output for name, report in seen} == {"one": "one", "two": "two"}


async def test_a_tenant_cannot_withdraw_the_task_of_another(shares: PoolShares) -> None:
    one, two = shares.share("one"), shares.share("two")
    one.submit(dispatch("t1"))
    assert (two.runs("t1"), two.withdraw("t1")) == (False, False)
    assert (one.runs("t1"), one.withdraw("t1")) == (True, True)


async def test_a_tenant_that_is_gone_leaves_everything_to_the_others(shares: PoolShares) -> None:
    one = shares.share("one")
    shares.share("two")
    assert one.free() == 6
    shares.close("two")
    assert one.free() == 8
