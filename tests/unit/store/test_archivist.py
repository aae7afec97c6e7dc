from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest

from flunq.core.events import DELETED
from flunq.store.archivist import Archivist
from flunq.store.columns import COLUMNS, files_sql, rows_of
from flunq.store.lake import LakeFile, Scrubbed
from flunq.store.spool import Spool
from flunq.store.writing import Merge, Read
from tests.support.lake import NOON, commit, event

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400_000_000


def store(folder: Path, *records: bytes, first: int = 1) -> list[LakeFile]:
    spool = Spool(folder, f"s{first}")
    for seq, data in enumerate(records, first):
        spool.add(data, partition=0, seq=seq)
    return Archivist(folder, "default").store(spool)


def query(folder: Path, files: list[LakeFile], columns: str) -> list[tuple[Any, ...]]:
    source = files_sql(str(folder / file.path) for file in files)
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM ({source})").fetchall()


def read(folder: Path, files: list[LakeFile], execution: str, **limits: int) -> list[int]:
    order = Read(
        files=[file.path for file in files],
        execution=execution,
        **{"after": 0, "before": 1 << 60, "max_bytes": 1 << 20, **limits},
    )
    events = Archivist(folder, "default").read(order)
    return [msgspec.json.decode(item)["seq"] for item in events.items]


def test_the_event_of_the_commit_itself_has_no_row() -> None:
    assert list(rows_of(commit(), partition=0, journal_seq=1)) == []


def test_an_event_becomes_a_row_with_documented_columns(tmp_path: Path) -> None:
    files = store(tmp_path, commit(event("e", 4, traceparent="00-a-b-01")))
    (row,) = query(tmp_path, files, "*")
    assert dict(zip(COLUMNS, row, strict=True)) == {
        "execution_id": "e",
        "seq": 4,
        "type": "io.serverlessworkflow.workflow.started.v1",
        "time": datetime(2026, 11, 21, 12, tzinfo=UTC).replace(tzinfo=None),
        "source": "/flunq/default/node-1",
        "workflow": "shop/orders:1.0.0",
        "partition": 0,
        "journal_seq": 1,
        "position": 1,
        "task": "/do/0/pay",
        "step": 4,
        "traceparent": "00-a-b-01",
        "data": '{"task":"/do/0/pay","step":4,"n":4}',
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"n":1.0,"big":123456789012345678901234567890}',
        '{"t":"\\u0000 \\"quoted\\" \\\\ \\n é 😀"}',
        "null",
        "[1,2]",
        '"text"',
        '{"task":7,"step":"x"}',
        '{ "spaced" : 1e3 }',
    ],
)
def test_data_stays_the_text_that_was_recorded(tmp_path: Path, text: str) -> None:
    recorded = event("e", 1, data=msgspec.Raw(text.encode()))
    files = store(tmp_path, commit(recorded))
    assert query(tmp_path, files, "data, task, step") == [(text, None, None)]


def test_rows_are_sorted_by_execution_and_number(tmp_path: Path) -> None:
    files = store(
        tmp_path, commit(event("b", 1), event("a", 2)), commit(event("a", 3), event("b", 2))
    )
    assert query(tmp_path, files, "execution_id, seq") == [("a", 2), ("a", 3), ("b", 1), ("b", 2)]
    (file,) = files
    assert (file.rows, file.first_seq, file.last_seq) == (4, 1, 2)
    assert (file.first_execution, file.last_execution) == ("a", "b")


def test_each_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = store(tmp_path, commit(event("a", 1), event("a", 2, at=NOON + DAY)))
    assert [file.day for file in files] == ["2026-11-21", "2026-11-22"]
    assert [query(tmp_path, [file], "seq") for file in files] == [[(1,)], [(2,)]]


def test_a_very_long_event_fits(tmp_path: Path) -> None:
    text = '"' * 1_000_000
    files = store(tmp_path, commit(event("a", 1, data={"text": text})))
    ((data,),) = query(tmp_path, files, "data")
    assert msgspec.json.decode(data) == {"text": text}


def test_merged_files_hold_the_same_rows_in_order(tmp_path: Path) -> None:
    files = store(tmp_path, commit(event("b", 1), event("a", 1)))
    files += store(tmp_path, commit(event("a", 2), event("c", 1)), first=2)
    merged = Archivist(tmp_path, "default").merge(Merge(files=files, level=1))
    assert query(tmp_path, merged, "execution_id, seq") == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
    assert [(file.rows, file.first_seq, file.last_seq) for file in merged] == [(4, 1, 2)]


def test_a_merge_leaves_out_what_was_scrubbed(tmp_path: Path) -> None:
    files = store(tmp_path, commit(event("a", 1), event("b", 1)), commit(event("a", 1)))
    gone = Scrubbed(execution="a", at=0, upto=1)
    merged = Archivist(tmp_path, "default").merge(Merge(files=files, level=1, scrubbed=[gone]))
    assert query(tmp_path, merged, "execution_id, journal_seq") == [("a", 2), ("b", 1)]


def test_a_merge_of_which_nothing_is_left_makes_no_file(tmp_path: Path) -> None:
    files = store(tmp_path, commit(event("a", 1)))
    gone = Scrubbed(execution="a", at=0, upto=1)
    assert Archivist(tmp_path, "default").merge(Merge(files=files, level=1, scrubbed=[gone])) == []
    assert [path.name for path in (tmp_path / files[0].path).parent.iterdir()] == [
        files[0].path.rpartition("/")[2]
    ]


def test_one_execution_is_read_in_order_and_between_limits(tmp_path: Path) -> None:
    files = store(tmp_path, *(commit(event("a", seq), event("b", seq)) for seq in range(1, 9)))
    assert read(tmp_path, files, "a") == list(range(1, 9))
    assert read(tmp_path, files, "a", after=2, before=5) == [3, 4]
    assert read(tmp_path, files, "nobody") == []


def test_a_long_history_comes_in_pages(tmp_path: Path) -> None:
    files = store(tmp_path, *(commit(event("a", seq)) for seq in range(1, 9)))
    order = Read(
        files=[file.path for file in files], execution="a", after=0, before=99, max_bytes=1
    )
    events = Archivist(tmp_path, "default").read(order)
    assert (len(events.items), events.more) == (1, True)


def test_an_event_is_read_back_as_it_was(tmp_path: Path) -> None:
    written = event("a", 1, traceparent="00-a-b-01", at=NOON + 123_456)
    files = store(tmp_path, commit(written))
    order = Read(files=[files[0].path], execution="a", after=0, before=9, max_bytes=9)
    (item,) = Archivist(tmp_path, "default").read(order).items
    assert msgspec.json.decode(item) == written


def test_an_id_that_was_used_again_shows_its_last_execution(tmp_path: Path) -> None:
    files = store(
        tmp_path,
        commit(event("a", 1), event("a", 2)),
        commit(event("a", 3, type=DELETED)),
        commit(event("a", 1), event("a", 2)),
    )
    assert read(tmp_path, files, "a") == [1, 2]
    ended = store(tmp_path, commit(event("a", 3, type=DELETED)), first=4)
    assert read(tmp_path, files + ended, "a") == [1, 2, 3]


def test_a_merge_in_many_pieces_keeps_every_row(tmp_path: Path) -> None:
    # So long that each file is a piece of its own, with executions across all of them.
    text = "x" * 40_000
    files: list[LakeFile] = []
    for first in range(1, 301, 100):
        records = [
            commit(*(event(f"e{n % 7}", first + n, data={"n": n, "text": text}) for n in range(4)))
            for _ in range(100)
        ]
        files += store(tmp_path, *records, first=first)
    merged = Archivist(tmp_path, "default").merge(Merge(files=files, level=1))
    wanted = "execution_id, journal_seq, position, hash(data)"
    found = query(tmp_path, merged, wanted)
    assert sorted(found) == sorted(query(tmp_path, files, wanted))
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert sum(file.raw for file in files) > 3 * 16_000_000
