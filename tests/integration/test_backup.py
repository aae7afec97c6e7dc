"""A backup is taken while executions run, and a cluster made from it goes on with them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from flunq.errors import RejectedError
from flunq.log.nats.jetstream import JetStream
from flunq.services.backup import snapshots
from flunq.services.backup.access import servers_alone
from flunq.services.backup.parts import DamagedBackupError
from flunq.services.backup.restoring import restore_backup
from flunq.services.backup.taking import take_backup
from flunq.services.supervising.layout import DataDirectory
from flunq.store.lake import lost_files, read_manifest
from tests.support.http_stub import HttpStub
from tests.support.processes import check_histories, history, running_cluster
from tests.support.workload import Load, expected

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from flunq.client import Client
    from flunq.log.nats.connection import Connection

pytestmark = pytest.mark.timeout(120)
OPEN = """
document: {dsl: 1.0.3, namespace: test, name: open, version: 1.0.0}
do:
  - both:
      fork:
        branches:
          - timer: {wait: {seconds: 3}}
          - heard:
              listen: {to: {one: {with: {type: test.go, data: '${ .id == "open" }'}}}}
  - last: {set: {done: true}}
"""


def quiet(_: str) -> None:
    """Say nothing."""


async def told(client: Client, executions: list[str]) -> list[object]:
    """Ask by SQL for everything about some executions."""
    names = ", ".join(f"'{each}'" for each in executions)
    rows = await client.sql(
        "select execution_id, seq, type, time, data::varchar from events"
        f" where execution_id in ({names}) order by all"
    )
    return list(rows.rows())


async def check_archive(client: Client) -> None:
    """The archive grows with the journal, which is not the one that it grew with before."""
    newest = (await client.archive.status()).newest
    view = await client.archive.flush()
    assert (view.state, view.problem) == ("following", "")
    # A timer may be due meanwhile: what comes after the question is not waited for.
    assert newest <= view.through <= view.newest


async def test_what_was_acknowledged_before_a_backup_is_in_it_and_goes_on(tmp_path: Path) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "backup.tar"
    waiting = [f"open-{n}" for n in range(12)]
    async with HttpStub() as ledger:
        async with running_cluster(first) as cluster, cluster.client() as client:
            load = Load(cluster, client, ledger)
            await client.apply(OPEN)
            for each in waiting:
                await client.start("open", {}, id=each)
            backed_up = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run_until(backed_up))
                await load.reached(20)
                assert (await client.archive.flush()).files
                acknowledged, ended = dict(load.acknowledged), sorted(load.results)
                await take_backup(first, file, quiet)
                backed_up.set()
            before = await told(client, ended)
        await restore_backup(file, second, quiet)
        async with running_cluster(second) as cluster, cluster.client() as client:
            for each, n in acknowledged.items():
                assert (await client.result(each, timeout=40)).output == expected(n)
            assert await told(client, ended) == before
            await client.emit(
                [{"id": "1", "source": "/t", "type": "test.go", "data": {"id": "open"}}]
            )
            for each in waiting:
                assert (await client.result(each, timeout=40)).output == {"done": True}
            await check_histories(client, [*acknowledged, *waiting])
            await check_archive(client)


async def test_a_stopped_cluster_is_backed_up_too(tmp_path: Path) -> None:
    first, second, folder = tmp_path / "first", tmp_path / "second", tmp_path / "backup"
    async with running_cluster(first) as cluster, cluster.client() as client:
        await client.apply(OPEN)
        await client.start("open", {}, id="kept")
        events = await history(client, "kept")
        assert (await client.archive.flush()).files
    manifest = await take_backup(first, folder, quiet, folder=True)
    assert not manifest.running
    await restore_backup(folder, second, quiet)
    async with running_cluster(second) as cluster, cluster.client() as client:
        assert (await history(client, "kept"))[: len(events)] == events
        await check_archive(client)


async def test_damage_is_told_and_the_rest_restored_only_on_request(tmp_path: Path) -> None:
    first, folder = tmp_path / "first", tmp_path / "backup"
    async with running_cluster(first) as cluster, cluster.client() as client:
        await client.apply(OPEN)
        await client.start("open", {}, id="kept")
        await take_backup(first, folder, quiet, folder=True)
    letters = folder / "stream/FLUNQ_DEFAULT_DLQ"
    letters.write_bytes(letters.read_bytes()[:-1])
    with pytest.raises(DamagedBackupError, match="FLUNQ_DEFAULT_DLQ: cut off"):
        await restore_backup(folder, tmp_path / "second", quiet)
    assert not (tmp_path / "second").exists()
    restored = await restore_backup(folder, tmp_path / "second", quiet, partial=True)
    assert [line.partition(":")[0] for line in restored.missing] == ["FLUNQ_DEFAULT_DLQ"]
    async with running_cluster(tmp_path / "second") as cluster, cluster.client() as client:
        assert (await client.get("kept")).id == "kept"


async def test_an_archive_that_lost_a_file_is_asked_without_it(tmp_path: Path) -> None:
    first, folder, second = tmp_path / "first", tmp_path / "backup", tmp_path / "second"
    async with running_cluster(first) as cluster, cluster.client() as client:
        await client.apply(OPEN)
        await client.start("open", {}, id="kept")
        assert (await client.archive.flush()).files
    archived, *_ = first.glob("history/*/day=*/*.parquet")
    await take_backup(first, folder, quiet, folder=True)
    (folder / "lake" / archived.relative_to(first / "history")).unlink()
    await restore_backup(folder, second, quiet, partial=True)
    async with running_cluster(second) as cluster, cluster.client() as client:
        view = await client.archive.flush()
        assert (view.state, view.problem) == ("following", "")
        kept = read_manifest(second / "history" / "default")
        assert kept is not None
        assert lost_files(second / "history" / "default", kept) == []
    archived.unlink()
    with pytest.raises(RejectedError, match="the archive has lost"):
        await take_backup(first, tmp_path / "another", quiet, folder=True)


async def test_a_stream_larger_than_the_servers_window_comes_back_as_it_was(tmp_path: Path) -> None:
    name, path = "FLUNQ_LARGE_EVENTS", tmp_path / "snapshot"
    config = {"name": name, "subjects": ["large"], "storage": "file", "num_replicas": 1}
    async with _servers(tmp_path / "first") as connection:
        js = JetStream(connection)
        await js.call(f"STREAM.CREATE.{name}", config)
        for _ in range(50):
            await js.publish("large", os.urandom(1_000_000))
        await js.call(f"STREAM.PURGE.{name}", {"seq": 5})
        with path.open("wb") as file:
            facts = await snapshots.take(connection, name, file)
    assert facts is not None
    async with _servers(tmp_path / "second") as connection:
        with path.open("rb") as file:
            await snapshots.put_back(connection, name, facts, file, replicas=1)
        state = (await JetStream(connection).call(f"STREAM.INFO.{name}"))["state"]
    members = ("messages", "first_seq", "last_seq", "first_ts", "last_ts")
    assert {m: state[m] for m in members} == {m: facts["state"][m] for m in members}


def _servers(folder: Path) -> AbstractAsyncContextManager[Connection]:
    directory = DataDirectory(folder)
    directory.create()
    return servers_alone(directory, 1)
