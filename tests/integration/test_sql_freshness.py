"""A query sees everything that was committed before it started, whatever the historian does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from flunq.client.sql import gather
from flunq.log.select import event_stream
from flunq.services.historian.service import run_historian
from flunq.services.historian.settings import HistorianSettings, Pace
from flunq.services.private import PARTITIONS, PrivateCluster
from flunq.store.lake import lake_folder, read_manifest
from flunq.store.tail import collect_tail, scratch_folder
from tests.support.cluster import HELLO
from tests.support.sql import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flunq.client import Client

EAGER = Pace(
    flush_bytes=1, flush_seconds=0.05, little_bytes=0, quiet_seconds=0.05, house_seconds=0.1
)
ROUND = 40
SHAPE = """select count(distinct execution_id) as executions, count(*) as events,
    count(distinct (execution_id, seq)) as differing,
    count(*) filter (type like '%workflow.completed.v1') as completed from events"""
GAPS = """select execution_id from events group by execution_id
    having min(seq) <> 1 or max(seq) <> count(*)"""


async def query(client: Client, folder: Path, sql: str) -> list[dict[str, Any]]:
    with scratch_folder() as scratch, collect_tail(scratch) as tail:
        return await ask(await gather(client, folder, tail, sql), sql)


async def start_some(client: Client, name: str) -> None:
    runs = [await client.start("hello", {}, id=f"{name}-{n}") for n in range(ROUND)]
    await asyncio.gather(*(run.result() for run in runs))


async def trim(cluster: PrivateCluster, folder: Path) -> None:
    """Let the journal forget what the archive holds."""
    manifest = read_manifest(folder)
    if manifest is not None and manifest.through:
        async with event_stream(cluster._stream_settings()) as stream:
            await stream.journal.trim(manifest.through)


@asynccontextmanager
async def historian(cluster: PrivateCluster, folder: Path) -> AsyncIterator[None]:
    """Let a historian work that makes a file of every few records; end it without a goodbye."""
    settings = cluster._stream_settings()
    wanted = HistorianSettings(data_dir=str(folder), pace=EAGER)
    stop = asyncio.Event()
    working = asyncio.create_task(run_historian(wanted, settings, partitions=PARTITIONS, stop=stop))
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_queries_while_executions_run_and_files_are_made(tmp_path: Path) -> None:
    folder = lake_folder(tmp_path, "default")
    async with PrivateCluster() as cluster:
        client = cluster.client
        await client.apply(HELLO)
        async with historian(cluster, tmp_path):
            for number in range(3):
                before = number * ROUND
                writing = asyncio.create_task(start_some(client, f"r{number}"))
                while not writing.done():
                    found = (await query(client, folder, SHAPE))[0]
                    assert found["executions"] >= before
                    assert found["events"] == found["differing"]
                await writing
                await trim(cluster, folder)
                assert (await query(client, folder, SHAPE))[0]["completed"] == before + ROUND
                assert await query(client, folder, GAPS) == []
        manifest = read_manifest(folder)
        assert manifest is not None
        assert manifest.through > 0
        async with event_stream(cluster._stream_settings()) as stream:
            assert await stream.journal.first_seq() > 1


async def test_a_historian_that_is_gone_is_not_missed(tmp_path: Path) -> None:
    folder = lake_folder(tmp_path, "default")
    async with PrivateCluster() as cluster:
        client = cluster.client
        await client.apply(HELLO)
        await start_some(client, "before")
        assert (await query(client, folder, SHAPE))[0]["completed"] == ROUND
        async with historian(cluster, tmp_path):
            while (manifest := read_manifest(folder)) is None or not manifest.files:
                await start_some(client, f"during-{(manifest or 0) and manifest.generation}")
        await start_some(client, "after")
        assert await query(client, folder, GAPS) == []
        found = (await query(client, folder, SHAPE))[0]
        assert found["events"] == found["differing"]
        assert found["completed"] == found["executions"]
