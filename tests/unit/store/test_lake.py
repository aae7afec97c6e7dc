from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.errors import ConflictError, InternalError
from flunq.store.lake import (
    MANIFEST,
    LakeFile,
    Manifest,
    expired,
    forget_expired,
    lake_folder,
    read_manifest,
    set_aside,
    successor,
    sweep,
    write_manifest,
)

if TYPE_CHECKING:
    from pathlib import Path


def lake_file(path: str) -> LakeFile:
    return LakeFile(
        path=path,
        rows=1,
        bytes=10,
        first_seq=1,
        last_seq=1,
        day="2026-11-21",
        first_execution="a",
        last_execution="a",
    )


def put(folder: Path, path: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(b"rows")


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = successor(
        Manifest(tenant="t"), add=[lake_file("day=2026-11-21/a.parquet")], through=7
    )
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_where_nothing_was_archived_there_is_no_manifest(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "nowhere") is None


def test_a_second_writer_gives_way(tmp_path: Path) -> None:
    first = successor(Manifest(tenant="t"), through=1)
    write_manifest(tmp_path, first)
    with pytest.raises(ConflictError, match="generation 1"):
        write_manifest(tmp_path, successor(Manifest(tenant="t"), through=2))
    assert read_manifest(tmp_path) == first


def test_a_manifest_that_vanished_is_not_written_over(tmp_path: Path) -> None:
    later = msgspec.structs.replace(Manifest(tenant="t"), generation=5)
    with pytest.raises(ConflictError):
        write_manifest(tmp_path, successor(later))


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"tenant": 1}'])
def test_a_broken_manifest_is_an_error_with_a_remedy(tmp_path: Path, text: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(text)
    with pytest.raises(InternalError) as caught:
        read_manifest(tmp_path)
    assert caught.value.hint


def test_a_manifest_of_a_later_version_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode({"version": 99, "tenant": "t"}))
    with pytest.raises(InternalError, match="99"):
        read_manifest(tmp_path)


def test_dropped_files_stay_for_a_while(tmp_path: Path) -> None:
    old, new = lake_file("day=d/old.parquet"), lake_file("day=d/new.parquet")
    manifest = successor(Manifest(tenant="t", files=[old]), add=[new], drop=[old.path])
    assert manifest.files == [new]
    assert expired(manifest) == []
    assert [gone.path for gone in expired(manifest, keep_seconds=0)] == [old.path]


def test_expired_files_are_deleted_and_forgotten(tmp_path: Path) -> None:
    put(tmp_path, "day=d/old.parquet")
    manifest = successor(
        Manifest(tenant="t", files=[lake_file("day=d/old.parquet")]), drop=["day=d/old.parquet"]
    )
    rest = forget_expired(tmp_path, manifest, expired(manifest, keep_seconds=0))
    assert rest.retired == []
    assert not (tmp_path / "day=d/old.parquet").exists()


def test_the_sweep_deletes_what_no_manifest_names(tmp_path: Path) -> None:
    names = ["day=d/counts.parquet", "day=d/retired.parquet"]
    leftovers = ["day=d/orphan.parquet", "scratch/x.jsonl", "scratch/sorting/y", ".manifest.json.1"]
    for name in (*names, *leftovers, "lock"):
        put(tmp_path, name)
    known = [lake_file(name) for name in names]
    manifest = successor(Manifest(tenant="t", files=known), drop=[names[1]])
    assert sorted(sweep(tmp_path, manifest)) == sorted(leftovers)
    assert all((tmp_path / name).exists() for name in (*names, "lock"))


def test_a_lake_that_is_set_aside_is_swept_by_nobody(tmp_path: Path) -> None:
    put(tmp_path, "day=d/a.parquet")
    write_manifest(tmp_path, successor(Manifest(tenant="t"), add=[lake_file("day=d/a.parquet")]))
    aside = set_aside(tmp_path, msgspec.structs.replace(Manifest(tenant="t"), generation=1))
    assert read_manifest(tmp_path) is None
    sweep(tmp_path, None)
    assert (aside / "day=d/a.parquet").exists()


def test_tenants_have_folders_that_no_name_can_leave(tmp_path: Path) -> None:
    folder = lake_folder(tmp_path, "../../etc")
    assert folder.parent == tmp_path / "history"
