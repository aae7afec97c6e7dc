"""``flunq chaos`` at a small size: every promise holds, and a broken run is told."""

from __future__ import annotations

import os

import pytest

from flunq.chaos.faults import BLACKHOLE, STREAMS
from flunq.chaos.options import ChaosOptions, ChaosReport
from flunq.chaos.runner import run_chaos

pytestmark = pytest.mark.timeout(180)
FULL = int(os.environ.get("FLUNQ_CHAOS_EXECUTIONS", "40"))
FAULTY = """
document: {dsl: 1.0.3, namespace: tests, name: faulty, version: 1.0.0}
do:
  - wait: {wait: {milliseconds: 100}}
  - boom: {raise: {error: {type: "https://example.com/boom", status: 500, title: Boom}}}
"""


async def run(**changes: object) -> ChaosReport:
    """Run with a few settings changed."""
    members = {"seed": 11, "executions": FULL, "rounds": 4, **changes}
    return await run_chaos(ChaosOptions(**members), lambda _: None)  # type: ignore[arg-type]


async def test_every_promise_holds_while_one_process_after_the_other_fails() -> None:
    report = await run(faults=("kill-node", "kill-nats", "pause-node", "kill-control"))
    assert report.broken == []
    assert report.statuses == {"completed": FULL}
    assert [fault.kind for fault in report.faults if fault.next_start is None] == []
    assert report.commits > 0


async def test_everything_may_be_killed_at_once() -> None:
    report = await run(faults=("kill-all",), rounds=1)
    assert report.broken == []
    assert report.statuses == {"completed": FULL}


async def test_a_full_store_a_slow_or_silent_server_and_lost_consumers_lose_nothing() -> None:
    report = await run(seed=48, faults=(*STREAMS, BLACKHOLE), rounds=5)
    assert report.broken == []
    assert report.statuses == {"completed": FULL}
    assert sorted(fault.kind for fault in report.faults) == sorted((*STREAMS, BLACKHOLE))


async def test_many_timers_are_due_at_once_while_a_process_dies() -> None:
    report = await run(scenario="timers", count=200, faults=("kill-node",))
    assert report.broken == []
    assert report.figures["timers_due_in_two_seconds"] == 200


async def test_one_execution_hears_many_events_while_a_process_dies() -> None:
    report = await run(scenario="events", count=100, faults=("kill-node",))
    assert report.broken == []
    assert report.acknowledged > 1


async def test_queued_starts_are_all_worked_off_while_a_process_dies() -> None:
    report = await run(scenario="starts", count=300, faults=("kill-node",))
    assert report.broken == []
    assert report.acknowledged > 300
    assert report.events > 5 * 300


async def test_two_of_three_servers_and_the_leader_may_fail() -> None:
    report = await run(faults=("kill-nats-two", "kill-nats-leader"), rounds=2, nodes=3, workers=1)
    assert report.broken == []
    assert report.statuses == {"completed": FULL}


async def test_a_workflow_of_the_user_may_end_as_it_likes() -> None:
    report = await run(workflow=FAULTY, faults=("kill-node",), rounds=1)
    assert report.broken == []
    assert report.statuses == {"faulted": FULL}
