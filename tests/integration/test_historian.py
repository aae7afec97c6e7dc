"""The archive of a real cluster: killed anywhere, trimmed behind, read back."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING

import pytest

from flunq.log.nats import NatsEventStream
from tests.support.lake import expected_places, manifest_of, places, through
from tests.support.processes import check_histories, history, running_cluster
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.client.client import Client

pytestmark = pytest.mark.timeout(90)

POINTS = (
    "before-flush:2",
    "after-flush:1",
    "after-flush:3",
    "before-manifest:1",
    "before-manifest:2",
    "after-manifest:1",
    "after-manifest:3",
)
PACE = {"flush_seconds": 0.05, "quiet_seconds": 0.05, "house_seconds": 0.2, "retry_seconds": 0.2}
COUNT = """
document: {dsl: 1.0.3, namespace: test, name: count, version: 1.0.0}
do:
  - one: {set: {n: '${ .n + 1 }'}}
  - pause: {wait: {milliseconds: 20}}
  - two: {set: {n: '${ .n + 1 }'}}
"""


async def run(client: Client, prefix: str, count: int) -> list[str]:
    """Run executions, some at a time, so that there are many commits."""
    names = [f"{prefix}-{number}" for number in range(count)]
    for first in range(0, count, 5):
        runs = [
            await client.start("test/count", {"n": number}, id=names[number])
            for number in range(first, min(first + 5, count))
        ]
        await asyncio.gather(*(each.result() for each in runs))
    return names


@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_any_point_loses_and_doubles_no_event(tmp_path: Path, point: str) -> None:
    died = tmp_path / "died"
    crash = {"FLUNQ_CRASH_AT": point, "FLUNQ_CRASH_ONCE": str(died)}
    async with (
        running_cluster(tmp_path / "data", node={"pace": PACE}, environment=crash) as cluster,
        cluster.client() as client,
        NatsEventStream(cluster.settings("engine")) as stream,
    ):
        await client.apply(COUNT)
        rounds = itertools.count()
        while not died.exists():  # a quick machine needs more of them to have that many flushes
            await run(client, f"a{next(rounds)}", 10)
        await cluster.restarted("control")
        await run(client, "b", 10)
        await client.archive.flush()
        folder = tmp_path / "data/history/default"
        assert places(folder) == await expected_places(stream.journal)
        listed = {file.path for file in manifest_of(folder).files}
        retired = {gone.path for gone in manifest_of(folder).retired}
        found = {str(path.relative_to(folder)) for path in folder.glob("day=*/*")}
        assert found == listed | retired


async def test_killed_again_and_again_it_loses_and_doubles_no_event(tmp_path: Path) -> None:
    async with (
        running_cluster(tmp_path / "data", node={"pace": PACE}) as cluster,
        cluster.client() as client,
        NatsEventStream(cluster.settings("engine")) as stream,
    ):
        await client.apply(COUNT)
        folder = tmp_path / "data/history/default"
        for number in range(4):
            reached = through(folder)
            running = asyncio.create_task(run(client, f"r{number}", 15))
            await eventually(partial(_has_passed, folder, reached))
            cluster.kill("control")
            await running
            await cluster.restarted("control", number + 1)
        await client.archive.flush()
        assert places(folder) == await expected_places(stream.journal)


async def test_histories_stay_whole_when_the_journal_is_trimmed(tmp_path: Path) -> None:
    async with (
        running_cluster(
            tmp_path / "data",
            node={"pace": PACE, "checkpoint_seconds": 0.2, "trim_seconds": 0.1},
        ) as cluster,
        cluster.client() as client,
        NatsEventStream(cluster.settings("engine")) as stream,
    ):
        await client.apply(COUNT)
        names = await run(client, "a", 20)
        before = {name: await history(client, name) for name in names}
        await client.archive.flush()
        await run(client, "b", 10)
        while (await stream.journal.extent()).first < 25:
            await asyncio.sleep(0.05)
        await check_histories(client, names)
        assert {name: await history(client, name) for name in names} == before
        assert [event async for event in client.follow("a-3")] == before["a-3"]
        assert (await client.get("a-3")).output == {"n": 5}
        assert (await client.result("a-3")).status == "completed"


def _has_passed(folder: Path, reached: int) -> bool:
    return through(folder) > reached
