from __future__ import annotations

import msgspec

from flunq.services.historian.compaction import FEW, HEAVY_BYTES, LARGEST, next_merge, tier
from flunq.store.lake import LakeFile, Manifest
from tests.support.lake import NOON

TODAY, YESTERDAY = "2026-11-21", "2026-11-20"
SMALL = 100_000


def lake_file(number: int, size: int = SMALL, day: str = TODAY) -> LakeFile:
    return LakeFile(
        path=f"day={day}/{number:02}",
        rows=1,
        bytes=size,
        first_seq=number,
        last_seq=number,
        day=day,
        first_execution="a",
        last_execution="b",
    )


def planned(*files: LakeFile, everything: bool = False) -> list[str]:
    manifest = Manifest(tenant="t", files=list(files))
    return [file.path for file in next_merge(manifest, now=NOON, everything=everything)]


def test_few_files_of_today_are_left_alone() -> None:
    assert planned(*(lake_file(n) for n in range(FEW - 1))) == []


def test_many_alike_are_merged() -> None:
    files = [lake_file(n) for n in range(FEW)]
    assert planned(*files) == [file.path for file in files]


def test_a_large_file_is_not_merged_with_every_small_one() -> None:
    files = [lake_file(n) for n in range(FEW - 1)]
    assert planned(lake_file(99, 50_000_000), *files) == []


def test_a_day_that_is_over_gets_one_file() -> None:
    files = [lake_file(1, 50_000_000, YESTERDAY), lake_file(2, SMALL, YESTERDAY)]
    assert planned(*files) == ["day=2026-11-20/02", "day=2026-11-20/01"]


def test_files_of_two_days_are_never_merged() -> None:
    assert planned(lake_file(1), lake_file(2, day=YESTERDAY), everything=True) == []


def test_when_asked_today_is_merged_too() -> None:
    assert len(planned(lake_file(1), lake_file(2), everything=True)) == 2


def test_no_merge_grows_past_the_largest_file() -> None:
    half = LARGEST // 2 + 1
    assert planned(lake_file(1, half), lake_file(2, half), everything=True) == []
    assert planned(lake_file(1, LARGEST), lake_file(2), everything=True) == []


def test_merging_comes_to_an_end() -> None:
    manifest = Manifest(tenant="t", files=[lake_file(n, 30_000_000) for n in range(40)])
    merges = 0
    while files := next_merge(manifest, now=NOON, everything=True):
        merges += 1
        rest = [file for file in manifest.files if file not in files]
        merged = lake_file(100 + merges, sum(file.bytes for file in files))
        manifest = Manifest(tenant="t", files=[*rest, merged])
    assert merges == 10
    assert sum(file.bytes for file in manifest.files) == 40 * 30_000_000


def test_size_classes_grow_by_a_factor() -> None:
    assert [tier(size) for size in (1, 256 << 10, 300 << 10, 2 << 20, 100 << 20)] == [0, 0, 1, 2, 4]


def heavy(number: int, raw: int, rows: int = 100) -> LakeFile:
    return msgspec.structs.replace(lake_file(number), raw=raw, rows=rows)


def test_long_rows_are_merged_as_long_as_they_fit_into_memory() -> None:
    third = HEAVY_BYTES // 3
    files = [heavy(n, third) for n in range(FEW)]
    assert len(planned(*files)) == 3
    assert planned(*(heavy(n, HEAVY_BYTES) for n in range(FEW)), everything=True) == []


def test_many_short_rows_are_merged_however_many_bytes_they_have() -> None:
    files = [heavy(n, HEAVY_BYTES, rows=100_000) for n in range(FEW)]
    assert len(planned(*files)) == FEW
