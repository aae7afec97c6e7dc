"""What queries see while the archive is stopped, killed, far behind, or the journal is trimmed."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from flunq.client.sql import gather
from flunq.log.nats import NatsEventStream
from flunq.store.lake import lake_folder
from flunq.store.tail import collect_tail, scratch_folder
from tests.support.lake import through
from tests.support.processes import running_cluster
from tests.support.sql import ask
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.client import Client
    from tests.support.processes import Cluster

pytestmark = pytest.mark.timeout(120)

BEHIND = int(os.environ.get("FLUNQ_TEST_BEHIND", "100000"))
"""So many events the archive lacks."""
PACE = {"flush_seconds": 0.05, "quiet_seconds": 0.05, "house_seconds": 0.2, "retry_seconds": 0.2}
TRIMMING = {"checkpoint_seconds": 0.2, "trim_seconds": 0.1}
SHORT = """
document: {dsl: 1.0.3, namespace: test, name: short, version: 1.0.0}
do:
  - one: {set: {n: '${ .n + 1 }'}}
  - pause: {wait: {milliseconds: 20}}
  - two: {set: {n: '${ .n + 1 }'}}
"""
LONG = """
document: {dsl: 1.0.3, namespace: test, name: long, version: 1.0.0}
do:
  - loop:
      for: {each: item, in: '${ [range(.n)] }'}
      do:
        - note: {set: {n: '${ $item }'}}
"""
EACH = """select execution_id as id, count(*) as events, count(distinct seq) as numbers,
    max(seq) as last, bool_or(type like '%workflow.completed.v1') as completed
    from events group by all"""


class Writer:
    """Runs executions one round after another, and knows what was acknowledged."""

    def __init__(self, client: Client) -> None:
        self.started: set[str] = set()
        self.ended: set[str] = set()
        self._client = client

    async def write(self) -> None:
        """Start executions and wait for them until cancelled."""
        for number in count():
            await asyncio.gather(*(self._run(f"x-{number}-{each}") for each in range(5)))

    async def _run(self, name: str) -> None:
        run = await self._client.start("test/short", {"n": 0}, id=name)
        self.started.add(name)
        await run.result()
        self.ended.add(name)


@asynccontextmanager
async def writing(client: Client) -> AsyncIterator[Writer]:
    await client.apply(SHORT)
    writer = Writer(client)
    task = asyncio.create_task(writer.write())
    try:
        yield writer
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def query(client: Client, folder: Path, sql: str = EACH) -> list[dict[str, Any]]:
    with scratch_folder() as scratch, collect_tail(scratch) as tail:
        return await ask(await gather(client, folder, tail, sql), sql)


async def check_query(client: Client, folder: Path, writer: Writer) -> int:
    """Everything acknowledged before the query is in it, without gap or double."""
    started, ended = set(writer.started), set(writer.ended)
    rows = {row["id"]: row for row in await query(client, folder)}
    assert started <= set(rows)
    assert ended <= {name for name, row in rows.items() if row["completed"]}
    assert [
        row for row in rows.values() if not row["events"] == row["numbers"] == row["last"]
    ] == []
    assert len({rows[name]["events"] for name in ended}) <= 1
    return len(ended)


async def check_until(client: Client, folder: Path, writer: Writer, *, ended: int) -> None:
    """Query again and again until so many executions had ended before a query."""
    while await check_query(client, folder, writer) < ended:
        await asyncio.sleep(0)


def has_passed(folder: Path, reached: int) -> bool:
    return through(folder) > reached


@asynccontextmanager
async def cluster_of(tmp_path: Path, **node: Any) -> AsyncIterator[tuple[Cluster, Client, Path]]:
    data = tmp_path / "data"
    async with running_cluster(data, node=node) as cluster, cluster.client() as client:
        yield cluster, client, lake_folder(data, "default")


async def test_a_stopped_historian_hides_nothing(tmp_path: Path) -> None:
    async with (
        cluster_of(tmp_path, pace=PACE) as (cluster, client, folder),
        writing(client) as writer,
    ):
        await eventually(lambda: through(folder) > 0)
        with_files = len(writer.ended)
        async with cluster.stopped("control"):
            reached = through(folder)
            await check_until(client, folder, writer, ended=with_files + 20)
            assert through(folder) == reached
        await check_until(client, folder, writer, ended=len(writer.ended) + 1)


async def test_a_historian_that_is_killed_hides_nothing(tmp_path: Path) -> None:
    async with (
        cluster_of(tmp_path, pace=PACE) as (cluster, client, folder),
        writing(client) as writer,
    ):
        for kills in range(1, 4):
            reached = through(folder)
            await eventually(partial(has_passed, folder, reached))
            cluster.kill("control")
            await check_query(client, folder, writer)
            await cluster.restarted("control", kills)
            await check_query(client, folder, writer)


async def test_trimming_takes_nothing_from_queries(tmp_path: Path) -> None:
    async with (
        cluster_of(tmp_path, pace=PACE, **TRIMMING) as (cluster, client, folder),
        NatsEventStream(cluster.settings("engine")) as stream,
        writing(client) as writer,
    ):
        trimmed: set[int] = set()
        while len(trimmed) < 4:
            trimmed.add(await stream.journal.first_seq())
            await check_query(client, folder, writer)
        assert max(trimmed) > 1


async def test_a_lost_archive_of_a_trimmed_journal_is_told(tmp_path: Path) -> None:
    async with (
        cluster_of(tmp_path, pace=PACE, **TRIMMING) as (cluster, client, folder),
        NatsEventStream(cluster.settings("engine")) as stream,
    ):
        async with writing(client) as writer:
            while await stream.journal.first_seq() < 10:
                assert (await client.sql(EACH)).gap is None
            await eventually(lambda: len(writer.ended) > 10)
        async with cluster.stopped("control"):
            # At once: whatever the archive's own process is writing would keep a folder from going.
            folder.rename(tmp_path / "lost")
        asked = await client.sql("select min(journal_seq) from events")
        assert asked.gap is not None
        assert asked.gap.first == 1
        assert 9 <= asked.gap.last < asked.values[0][0]
        lost = min(writer.ended, key=lambda name: int(name.split("-")[1]))
        async with asyncio.timeout(20):
            assert [event async for event in client.follow(lost)] == []


async def test_an_archive_that_is_far_behind_hides_nothing(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, pace=PACE) as (cluster, client, folder):
        await client.apply(LONG)
        async with writing(client) as writer, cluster.stopped("control"):
            reached = through(folder)
            runs = [
                await client.start("test/long", {"n": BEHIND // 32}, id=f"l{n}") for n in range(8)
            ]
            await asyncio.gather(*(run.result() for run in runs))
            rows = await query(client, folder, f"{EACH} having execution_id like 'l%'")
            assert all(row["events"] == row["numbers"] == row["last"] for row in rows)
            assert sum(row["events"] for row in rows) > BEHIND
            assert all(row["completed"] for row in rows)
            await check_query(client, folder, writer)
            assert through(folder) == reached
