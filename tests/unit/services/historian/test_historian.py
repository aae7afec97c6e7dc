from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.errors import ConflictError
from flunq.services.historian.writer import WriterError
from flunq.services.worker.trimming import watermark_key
from flunq.store.lake import LakeFile, lost_files, read_manifest
from flunq.store.writing import Flush
from tests.support.historian import NEVER, archives
from tests.support.lake import (
    NOON,
    commit,
    event,
    expected_places,
    manifest_of,
    places,
    rows,
    through,
    write,
    write_executions,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)


async def test_every_event_is_archived_once(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        for partition in range(3):
            await write_executions(made.journal, 20, prefix=f"p{partition}", partition=partition)
        await made.archive.flush()
        assert places(made.folder) == await expected_places(made.journal)


async def test_the_archive_grows_by_itself(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        last = await write_executions(made.journal, 3)
        await eventually(lambda: through(made.folder) == last)
        last = await write_executions(made.journal, 3, prefix="y")
        await eventually(lambda: through(made.folder) == last)
        assert len(places(made.folder)) == 18


async def test_commits_without_events_move_the_position(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        last = await write(made.journal, [commit(), commit(number=2)])
        view = await made.archive.flush()
        assert (view.through, view.rows, view.files, view.behind) == (last, 0, 0, 0)


async def test_a_historian_that_was_killed_goes_on_where_the_manifest_ends(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        async with made.running():
            await write_executions(made.journal, 5)
            await made.archive.flush()
            await write_executions(made.journal, 5, prefix="y")
        async with made.running():
            await write_executions(made.journal, 5, prefix="z")
            await made.archive.flush()
        assert places(made.folder) == await expected_places(made.journal)


async def test_a_writer_process_that_is_killed_costs_only_work(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running(NEVER) as historian:
        await write_executions(made.journal, 5)
        await made.archive.flush()
        await write_executions(made.journal, 5, prefix="y")
        assert historian._writer.pid is not None
        os.kill(historian._writer.pid, signal.SIGKILL)
        await made.archive.flush()
        assert places(made.folder) == await expected_places(made.journal)


async def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        orphan = made.folder / "day=2026-11-21" / "orphan.parquet"
        orphan.parent.mkdir(parents=True)
        orphan.write_bytes(b"half a file")
        async with made.running():
            await write_executions(made.journal, 1)
            await made.archive.flush()
        assert not orphan.exists()


async def test_files_are_kept_whose_manifest_is_lost_while_the_journal_begins_later(
    tmp_path: Path,
) -> None:
    async with archives(tmp_path) as made:
        async with made.running():
            await write_executions(made.journal, 5)
            await made.archive.flush()
        before = sorted(made.folder.glob("day=*/*"))
        await made.journal.trim(6)
        (made.folder / "manifest.json").unlink()
        async with made.running() as historian:
            await eventually(lambda: "has files but no manifest.json" in historian.problem)
        assert before
        assert sorted(made.folder.glob("day=*/*")) == before


async def test_the_watermark_follows_the_manifest(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        last = await write_executions(made.journal, 4)
        await made.archive.flush()
        entry = await made.store.state.get(watermark_key("default"))
        assert entry is not None
        assert int(entry.value) == last == manifest_of(made.folder).through


async def test_one_historian_at_a_time(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running() as first, made.running() as second:
        await write_executions(made.journal, 10)
        await made.archive.flush()
        assert [first._tenure.mine, second._tenure.mine] == [True, False]
        assert places(made.folder) == await expected_places(made.journal)


async def test_another_takes_over_when_one_is_gone(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        async with made.running() as first:
            await eventually(lambda: first._tenure.mine)
            async with made.running() as second:
                assert not second._tenure.mine
        async with made.running() as third:
            await eventually(lambda: third._tenure.mine)
            await write_executions(made.journal, 3)
            assert (await made.archive.flush()).rows == 9


async def test_a_journal_that_was_made_again_is_never_mixed_in(tmp_path: Path) -> None:
    async with archives(tmp_path / "a") as made, made.running():
        await write_executions(made.journal, 2)
        await made.archive.flush()
    before = places(made.folder)
    async with archives(tmp_path / "a") as other:
        # This broker's journal is younger than the archive.
        manifest = manifest_of(made.folder)
        older = msgspec.structs.replace(manifest, journal="another journal")
        (made.folder / "manifest.json").write_bytes(msgspec.json.encode(older))
        async with other.running() as historian:
            await write_executions(other.journal, 5)
            await eventually(lambda: "belongs to a journal" in historian.problem)
            assert (await other.archive.status()).state == "blocked"
            assert places(made.folder) == before


async def test_a_gap_between_archive_and_journal_stops_it(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        await write_executions(made.journal, 5)
        await made.journal.trim(3)
        async with made.running() as historian:
            await eventually(lambda: "begins at 4" in historian.problem)
            assert read_manifest(made.folder) is None
            await made.archive.rebuild("anew")
            view = await made.archive.flush()
            assert (view.rows, view.problem) == (6, "")


async def test_a_rebuild_makes_the_same_rows_again(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        await write_executions(made.journal, 10)
        await made.archive.flush()
        before, old = rows(made.folder, "*"), manifest_of(made.folder)
        await write_executions(made.journal, 1, prefix="y")
        await made.archive.rebuild()
        await made.archive.flush()
        now = manifest_of(made.folder)
        assert not {file.path for file in old.files} & {file.path for file in now.files}
        assert [row for row in rows(made.folder, "*") if row[0] < "y"] == before
        assert places(made.folder) == await expected_places(made.journal)


async def test_a_rebuild_refuses_to_lose_what_was_trimmed(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        await write_executions(made.journal, 10)
        await made.archive.flush()
        before = rows(made.folder, "*")
        await made.journal.trim(6)
        with pytest.raises(ConflictError, match="begins at 7") as caught:
            await made.archive.rebuild()
        assert "--keep-archive" in str(caught.value.hint)
        assert rows(made.folder, "*") == before


async def test_a_rebuild_can_keep_what_was_trimmed(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        await write_executions(made.journal, 10)
        await made.archive.flush()
        before = rows(made.folder, "*")
        await made.journal.trim(6)
        await made.archive.rebuild("keep")
        assert rows(made.folder, "*") == before
        last = await write_executions(made.journal, 1, prefix="y")
        assert (await made.archive.flush()).through == last


async def test_a_rebuild_goes_on_without_files_that_are_lost(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running(NEVER):
        await write_executions(made.journal, 10)
        await made.archive.flush()
        (lost,) = manifest_of(made.folder).files
        last = await write_executions(made.journal, 10, prefix="y")
        await made.archive.flush()
        await made.journal.trim(last - 1)
        (made.folder / lost.path).unlink()
        job = await made.archive.rebuild("keep")
        assert job.detail.endswith(f"lost with 1 damaged files: up to {lost.rows}")
        assert {row[0][0] for row in rows(made.folder, "*")} == {"y"}
        assert not lost_files(made.folder, manifest_of(made.folder))


async def test_many_small_files_become_few(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running(keep_retired=0.0):
        for number in range(8):
            await write_executions(made.journal, 1, prefix=f"p{number}")
            await made.archive.flush()
        await made.archive.compact()
        assert (await made.archive.status()).files == 1
        assert places(made.folder) == await expected_places(made.journal)
        await eventually(lambda: not manifest_of(made.folder).retired)
        assert len(list(made.folder.glob("day=*/*"))) == 1


async def test_files_are_merged_without_being_asked(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        # Its day is over, so that a single file is best.
        for number in range(3):
            past = commit(event(f"e{number}", 1, at=NOON - 86_400_000_000 * 400))
            await write(made.journal, [past])
            await made.archive.flush()
        await eventually(lambda: len(manifest_of(made.folder).files) == 1)
        assert places(made.folder) == await expected_places(made.journal)


async def test_a_scrubbed_execution_is_in_no_file(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        canary = event("secret", 1, data={"card": "canary-4711"})
        last = await write(made.journal, [commit(canary, event("other", 1))])
        await made.archive.scrub("secret", last)
        assert rows(made.folder, "execution_id") == [("other",)]
        manifest = manifest_of(made.folder)
        assert [each.execution for each in manifest.scrubbed] == ["secret"]
        assert len(list(made.folder.glob("day=*/*"))) == 1
        await made.archive.compact()
        assert rows(made.folder, "execution_id") == [("other",)]


async def test_an_archived_execution_is_read_back(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        await write_executions(made.journal, 5, per_commit=4)
        await made.archive.flush()
        found = [each async for each in made.archive.events("x-0003", after=1)]
        assert [(each.subject, each.seq) for each in found] == [("x-0003", n) for n in (2, 3, 4)]
        assert [each async for each in made.archive.events("nobody")] == []


async def test_what_waits_for_a_file_is_told(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running(NEVER) as historian:
        await eventually(lambda: historian._ingest is not None)
        last = await write_executions(made.journal, 4)
        view = await made.archive.status()
        assert (view.state, view.through, view.newest, view.behind) == ("following", 0, last, last)
        assert (await made.archive.flush()).behind == 0


async def test_an_idle_writer_process_ends(tmp_path: Path) -> None:
    quiet = msgspec.structs.replace(NEVER, idle_seconds=0.0, house_seconds=0.05)
    async with archives(tmp_path) as made, made.running(quiet) as historian:
        await write_executions(made.journal, 1)
        await made.archive.flush()
        await eventually(lambda: historian._writer.pid is None)


async def test_a_folder_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running(NEVER) as historian:
        await eventually(lambda: read_manifest(made.folder) is not None)
        (made.folder / "scratch").write_text("in the way")
        last = await write_executions(made.journal, 1)
        await eventually(lambda: historian._ingest is not None)
        historian._ingest.flush_soon(last)  # type: ignore[union-attr]
        await eventually(lambda: historian.problem)
        (made.folder / "scratch").unlink()
        assert (await made.archive.flush()).rows == 3


async def test_taking_up_again_leaves_files_alone_that_are_being_merged(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running(NEVER) as historian:
        for number in range(2):
            await write_executions(made.journal, 1, prefix=f"p{number}")
            await made.archive.flush()
        old = manifest_of(made.folder).files
        merged = await historian._workshop.merge(old)
        before = historian._ingest
        assert historian._writer.pid is not None
        os.kill(historian._writer.pid, signal.SIGKILL)
        await write_executions(made.journal, 1, prefix="z")
        await made.archive.flush()
        assert historian._ingest is not before
        assert await historian._keeper.exchange(old, merged)
        assert places(made.folder) == await expected_places(made.journal)


async def test_nothing_is_scrubbed_that_is_not_written_yet(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running():
        last = await write_executions(made.journal, 1)
        with pytest.raises(ConflictError, match=f"ends at {last}"):
            await made.archive.scrub("x-0000", last + 1)
        assert len(rows(made.folder, "seq")) in (0, 3)


async def test_the_historian_leaves_a_complete_archive(tmp_path: Path) -> None:
    async with archives(tmp_path) as made:
        historian, stop = made.historian(NEVER), asyncio.Event()
        running = asyncio.create_task(historian.run(stop))
        await eventually(lambda: historian._ingest is not None)
        await write_executions(made.journal, 4)
        stop.set()
        await running
        assert places(made.folder) == await expected_places(made.journal)


async def test_a_writer_that_knows_only_a_part_makes_no_file(tmp_path: Path) -> None:
    async with archives(tmp_path) as made, made.running(NEVER) as historian:
        await write_executions(made.journal, 1)
        await made.archive.flush()
        record = await made.journal.last(0)
        assert record is not None
        await historian._writer.send([record])
        with pytest.raises(WriterError, match="1 records came here, not 2"):
            await historian._writer.order(Flush(records=2), list[LakeFile])
        assert historian._writer.pid is None
