"""What may begin, on nodes that share their breakers and limits, in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.core.flow import CLOSED, HALF_OPENED, OPENED, NamedLimit, ResetBreaker, TripBreaker
from flunq.core.traffic import Breaker, LimitAsk
from flunq.services.flow.board import FlowBoard
from flunq.services.flow.lane import Lane
from tests.support.traffic import TARGET, Bench, on_bench
from tests.support.waiting import elapse

if TYPE_CHECKING:
    from flunq.core.execution.commands import Report
    from flunq.core.flow import Notice

SECOND = 1_000_000
QUICK = Breaker(after=5, within=10 * SECOND, pause=SECOND)
FIVE = (LimitAsk(key="k", concurrency=5),)


class Unheard(FlowBoard):
    """A board whose notices are lost on the way, as in a reconnect."""

    def tell(self, notice: Notice) -> None:
        return


def unheard(bench: Bench) -> FlowBoard:
    return Unheard("default", bench.stream, bench.store, bench.clock, node="x")


async def break_it(bench: Bench) -> None:
    bench.target.broken = True
    for number in range(5):
        bench.submit(f"bad{number}", breaker=QUICK)
    await bench.ended(5)
    await elapse(0.2)


async def events(bench: Bench) -> list[str]:
    count = await bench.stream.bus.last_seq()
    found: list[str] = []
    async for record in bench.stream.bus.follow(after=0):
        found.append(msgspec.json.decode(record.data)["type"])
        if len(found) == count:
            break
    return found


def test_a_breaker_that_opens_on_one_node_holds_tasks_back_on_all() -> None:
    async def situation(bench: Bench) -> None:
        await break_it(bench)
        for node in (0, 1):
            assert bench.submit(f"later{node}", node, breaker=QUICK)
        await elapse(0.5)
        assert len(bench.target.times) == 5
        [held] = bench.gates[1].view().held
        assert (held.task, held.why, held.name) == ("later1", "breaker", TARGET)
        bench.target.broken = False
        await bench.ended(7)
        assert all(bench.reports[f"later{node}"].failure is None for node in (0, 1))
        await elapse(0.1)
        assert await events(bench) == [OPENED, HALF_OPENED, CLOSED]

    on_bench(situation, nodes=2)


def test_one_task_of_all_nodes_finds_out_whether_the_target_is_back() -> None:
    async def situation(bench: Bench) -> None:
        await break_it(bench)
        for number in range(20):
            bench.submit(f"later{number}", number % 2, breaker=QUICK)
        await elapse(1.5)
        assert len(bench.target.times) == 6
        await elapse(2.5)
        assert len(bench.target.times) == 7, "the second pause is twice as long"

    on_bench(situation, nodes=2)


def test_a_trial_whose_node_died_is_made_by_another() -> None:
    async def situation(bench: Bench) -> None:
        await break_it(bench)
        bench.target.takes = 10_000.0
        bench.submit("trial", 0, breaker=QUICK)
        await elapse(2.0)
        assert len(bench.target.times) == 6
        bench.running[0].cancel()
        bench.target.takes, bench.target.broken = 0.01, False
        bench.submit("later", 1, breaker=QUICK)
        await bench.ended(6)
        assert bench.reports["later"].failure is None

    on_bench(situation, nodes=2)


def test_tasks_that_would_rather_fail_do_so_at_once() -> None:
    async def situation(bench: Bench) -> Report:
        await break_it(bench)
        bench.submit("eager", breaker=Breaker(then="fail"))
        await bench.ended(6)
        assert len(bench.target.times) == 5
        return bench.reports["eager"]

    failure = on_bench(situation).failure
    assert failure is not None
    assert (failure.type.rpartition("/")[2], failure.status) == ("communication", 503)


def test_a_task_without_a_breaker_is_never_held_back() -> None:
    async def situation(bench: Bench) -> None:
        await break_it(bench)
        bench.submit("bold", breaker=Breaker(then="off"))
        await bench.ended(6)
        assert len(bench.target.times) == 6

    on_bench(situation)


def test_the_operator_opens_and_closes_a_breaker() -> None:
    async def situation(bench: Bench) -> None:
        await bench.desk.answer(msgspec.json.encode(TripBreaker(name=TARGET)))
        await elapse(0.1)
        bench.submit("held")
        await elapse(300.0)
        assert bench.target.times == []
        await bench.desk.answer(msgspec.json.encode(ResetBreaker(name=TARGET)))
        await bench.ended(1)
        assert await bench.board("x").breakers() == []

    on_bench(situation)


def test_whoever_asks_as_the_last_that_waited_begins_is_let_go_too() -> None:
    async def situation(bench: Bench) -> None:
        lane = Lane(bench.board("x"), TARGET, lambda: 0.0)
        async with asyncio.timeout(60):
            assert not await lane.admit(retry=False)
            # What let the first one go has looked for others, and is about to end.
            assert not await lane.admit(retry=False)

    on_bench(situation)


def test_a_breaker_whose_closing_was_not_heard_of_does_not_refuse_for_ever() -> None:
    async def situation(bench: Bench) -> list[Report]:
        await bench.desk.answer(msgspec.json.encode(TripBreaker(name=TARGET)))
        await elapse(0.1)
        await unheard(bench).drop_breaker(TARGET)
        for number in range(10):
            bench.submit(f"t{number}", breaker=Breaker(then="fail"))
            await elapse(1.0)
        return list(bench.reports.values())

    reports = on_bench(situation)
    assert reports[0].failure is not None
    assert reports[-1].failure is None


def test_a_task_that_is_withdrawn_while_it_waits_never_begins() -> None:
    async def situation(bench: Bench) -> None:
        await break_it(bench)
        bench.submit("later", breaker=QUICK)
        await elapse(0.1)
        assert bench.gates[0].runs("later")
        assert bench.gates[0].withdraw("later")
        bench.target.broken = False
        await elapse(60.0)
        assert len(bench.target.times) == 5
        assert bench.gates[0].view().held == []

    on_bench(situation)


def test_an_outage_of_a_minute_never_becomes_a_storm() -> None:
    normal = 50

    async def situation(bench: Bench) -> list[int]:
        begun, done = bench.clock.now(), 0
        for number in range(normal * 180):
            seconds = number / normal
            bench.target.broken = 30 <= seconds < 90
            ended, bench.reports = bench.reports, {}
            for task, report in ended.items():
                if report.failure is None:
                    done += 1
                    continue
                name, _, attempt = task.partition("/")
                bench.submit(f"{name}/{int(attempt) + 1}", attempt=int(attempt) + 1)
            bench.submit(f"t{number}/1")
            await elapse(1 / normal)
        bench.target.broken = False
        while done + len(bench.reports) < normal * 180:
            await elapse(1.0)
        return [moment - begun for moment in bench.target.times]

    times = on_bench(situation)
    counts = [sum(s * SECOND <= each < (s + 1) * SECOND for each in times) for s in range(30, 240)]
    assert max(counts) < 2 * normal
    assert sum(counts[10:58]) < normal, "while it is down it is hardly called"


def test_no_more_run_at_once_than_the_limit_allows_on_all_nodes_together() -> None:
    async def situation(bench: Bench) -> int:
        for number in range(200):
            bench.submit(f"t{number}", number % 3, limits=FIVE)
        await bench.ended(200)
        await elapse(1.0)
        [ledger] = await bench.board("x").ledgers()
        assert ledger.slots == {}
        return bench.target.most

    assert on_bench(situation, nodes=3) == 5


def test_tasks_begin_no_faster_than_the_rate_on_all_nodes_together() -> None:
    async def situation(bench: Bench) -> list[int]:
        for number in range(60):
            limits = (LimitAsk(key="k", count=10, per=SECOND),)
            bench.submit(f"t{number}", number % 2, limits=limits)
        await bench.ended(60)
        return bench.target.times

    times = on_bench(situation, nodes=2)
    # From the moment that it is counted until it begins passes a round trip to the store.
    assert all(later - times[i] > 0.95 * SECOND for i, later in enumerate(times[10:]))
    assert times[-1] - times[0] < 8 * SECOND


def test_the_slots_of_a_node_that_died_come_back() -> None:
    async def situation(bench: Bench) -> None:
        bench.target.takes = 10_000.0
        for number in range(5):
            bench.submit(f"lost{number}", 0, limits=FIVE)
        await elapse(60.0)
        bench.target.takes = 0.01
        bench.submit("next", 1, limits=FIVE)
        await elapse(60.0)
        assert bench.reports == {}, "a long task keeps its slot"
        assert [held.why for held in bench.gates[1].view().held] == ["limit"]
        bench.running[0].cancel()
        await bench.ended(1)

    on_bench(situation, nodes=2)


@pytest.mark.parametrize("choice", [{}, {"kind": TARGET}, {"target": TARGET}, {"workflow": "t/w"}])
def test_the_limit_of_the_operator_holds_at_once(choice: dict[str, str]) -> None:
    async def situation(bench: Bench) -> int:
        limit = msgspec.structs.replace(NamedLimit(name="k", concurrency=2), **choice)
        await bench.board("x").put_limits({"k": limit}, 0)
        await elapse(0.5)
        for number in range(20):
            bench.submit(f"t{number}", limits=() if choice else FIVE)
        await bench.ended(20)
        return bench.target.most

    assert on_bench(situation) == 2


def test_a_limit_that_was_not_heard_of_holds_after_a_while() -> None:
    async def situation(bench: Bench) -> int:
        await unheard(bench).put_limits({"k": NamedLimit(name="k", concurrency=2)}, 0)
        for _ in range(100):
            bench.submit("early")
            await elapse(1.0)
        for number in range(20):
            bench.submit(f"t{number}", limits=FIVE)
        await bench.ended(20)
        return bench.target.most

    assert on_bench(situation) == 2


def test_more_tasks_than_slots_are_all_run() -> None:
    async def situation(bench: Bench) -> None:
        for number in range(50):
            assert bench.submit(f"t{number}", limits=(LimitAsk(key="k", concurrency=40),))
        await bench.ended(50)
        assert bench.target.most == 4

    on_bench(situation, capacity=4)
