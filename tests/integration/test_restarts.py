"""Orderly ends and new beginnings: drains, restarts on the same data, starts in the dark."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flunq.core.events import TASK_COMPLETED, TASK_STARTED
from flunq.errors import IdConflictError
from tests.support.processes import history, running_cluster
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.client import Run

pytestmark = pytest.mark.timeout(60)
SLEEPY = {"checkpoint_seconds": 0.2, "hibernate_seconds": 0.1}
DAWDLE = """
document: {dsl: 1.0.3, namespace: test, name: dawdle, version: 1.0.0}
do:
  - slow: {call: dawdle, with: {n: '${ .n }', seconds: '${ .seconds }'}}
"""
HOLD = """
document: {dsl: 1.0.3, namespace: test, name: hold, version: 1.0.0}
do:
  - until: {call: hold, with: {path: '${ .path }'}}
"""
NAP = """
document: {dsl: 1.0.3, namespace: test, name: nap, version: 1.0.0}
do:
  - nap: {wait: {milliseconds: 1500}}
"""
REST = """
document: {dsl: 1.0.3, namespace: test, name: rest, version: 1.0.0}
do:
  - rest: {wait: {hours: 3}}
"""
BUMP = """
document: {dsl: 1.0.3, namespace: test, name: bump, version: 1.0.0}
do:
  - up: {call: bump, with: {n: '${ .n }'}}
"""


async def test_a_node_that_is_asked_to_stop_finishes_what_it_runs(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, workers=2) as cluster, cluster.client() as client:
        await client.apply(DAWDLE)
        value = {"n": 1, "seconds": 1.5}
        runs = [await client.start("dawdle", value, id=f"slow-{n}") for n in range(16)]
        await eventually(lambda: len(cluster.calls().keys) == len(runs))
        leaving = cluster.send("node-1", signal.SIGTERM)
        assert [await run.result(20) for run in runs] == [{"n": 2}] * len(runs)
        calls = cluster.calls()
        assert set(calls.keys.values()) == {1}
        assert any(leaving in pids for pids in calls.by_key.values())
        await cluster.restarted("node-1")
        assert cluster.service("node-1").reason == "exit code 0"


async def test_a_restarted_cluster_goes_on_with_everything(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with (
        running_cluster(tmp_path / "data", node=SLEEPY) as cluster,
        cluster.client() as client,
    ):
        for text in (BUMP, HOLD, NAP, REST):
            await client.apply(text)
        assert await (await client.start("bump", {"n": 1}, id="done")).result(20) == {"n": 2}
        await client.start("rest", {}, id="long")
        await client.start("hold", {"path": str(go)}, id="held")
        await eventually(lambda: cluster.calls().of("held"))
        await client.start("nap", {}, id="short")
    go.touch()
    async with (
        running_cluster(tmp_path / "data", node=SLEEPY) as cluster,
        cluster.client() as client,
    ):
        assert await client.run("held").result(10) == {"found": str(go)}
        assert (await client.run("short").wait(10)).status == "completed"
        again = await client.start("bump", {"n": 1}, id="done")
        assert (again.created, await again.result(20)) == (False, {"n": 2})
        with pytest.raises(IdConflictError):
            await client.start("bump", {"n": 2}, id="done")
        assert (await client.get("done")).output == {"n": 2}
        assert [event.seq for event in await history(client, "done")] == [1, 2, 3, 4, 5]
        assert (await client.get("long")).status in ("running", "waiting")
        assert await client.cancel("long") == "cancelled"
        assert cluster.calls().of("done") == 1


async def test_a_start_while_no_node_is_there_waits_in_the_inbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq.services.supervising.child._FIRST_BACKOFF", 2.0)
    async with running_cluster(tmp_path) as cluster, cluster.client() as client:
        await client.apply(BUMP)
        assert await (await client.start("bump", {"n": 0})).result(20) == {"n": 1}
        cluster.kill("node-1")
        await eventually(lambda: cluster.service("node-1").state == "backoff")
        runs = await asyncio.gather(
            *(client.start("bump", {"n": n}, id=f"early-{n}", timeout=20) for n in range(10))
        )
        assert [await run.result(10) for run in runs] == [{"n": n + 1} for n in range(10)]
        assert all(cluster.calls().of(run.id) == 1 for run in runs)


async def _end_of(run: Run) -> datetime:
    assert (await run.wait(20)).status == "completed"
    return datetime.now(UTC)


async def test_timers_are_never_early_across_a_kill(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, node=SLEEPY) as cluster, cluster.client() as client:
        await client.apply(NAP)
        runs = await asyncio.gather(
            *(client.start("nap", {}, id=f"nap-{n}", timeout=20) for n in range(300))
        )
        cluster.kill("node-1")
        ends = await asyncio.gather(*(_end_of(run) for run in runs))
        for run, heard in zip(runs, ends, strict=True):
            times = {event.type: event.time for event in await history(client, run.id)}
            begun, ended = (
                datetime.fromisoformat(times[kind]) for kind in (TASK_STARTED, TASK_COMPLETED)
            )
            assert (min(ended, heard) - begun).total_seconds() >= 1.5
