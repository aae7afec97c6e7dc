"""A backup on disk, whole and damaged."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from flunq.errors import NotFoundError, UsageError
from flunq.services.backup.container import BackupWriter, open_backup
from flunq.services.backup.parts import DamagedBackupError, Findings, Manifest
from flunq.services.backup.restoring import check_backup, restore_backup

if TYPE_CHECKING:
    from pathlib import Path


def write(tmp_path: Path, *, folder: bool = False) -> Path:
    """Write a backup of three parts."""
    target = tmp_path / "backup"
    writer = BackupWriter(target, folder=folder)
    for number, size in enumerate((10, 5000, 100_000)):
        source = tmp_path / "source"
        source.write_bytes(bytes([number + 65]) * size)
        writer.add("file", f"run/part-{number}", source)
    writer.finish(Manifest(flunq="1", created_at=1.0, nodes=1, running=False, parts=writer.parts))
    writer.abandon()
    return target


def read(source: Path) -> Findings:
    """Check a backup."""
    with open_backup(source) as reader:
        return reader.check(lambda _: None)


def problems(source: Path) -> dict[str, str]:
    """Return what is wrong with a backup."""
    return {each.part: each.reason for each in read(source).problems}


@pytest.mark.parametrize("folder", [False, True])
def test_what_was_written_is_whole(tmp_path: Path, folder: bool) -> None:
    findings = read(write(tmp_path, folder=folder))
    assert not findings.problems
    assert [part.bytes for part in findings.good] == [10, 5000, 100_000]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_flipped_bit_is_found_in_its_part_alone(tmp_path: Path) -> None:
    source = write(tmp_path)
    data = bytearray(source.read_bytes())
    data[data.index(b"B" * 5000) + 4000] ^= 1
    source.write_bytes(data)
    assert problems(source) == {"run/part-1": "damaged: its checksum is wrong"}
    assert [part.name for part in read(source).good] == ["run/part-0", "run/part-2"]


def test_a_damaged_header_hides_its_part_and_no_other(tmp_path: Path) -> None:
    source = write(tmp_path)
    data = bytearray(source.read_bytes())
    data[data.index(b"file/run/part-1\0")] ^= 0xFF
    source.write_bytes(data)
    assert problems(source) == {"run/part-1": "missing"}


def test_a_backup_that_was_cut_off_says_what_is_there(tmp_path: Path) -> None:
    source = write(tmp_path)
    data = source.read_bytes()
    source.write_bytes(data[: data.index(b"C" * 100_000) + 50_000])
    findings = read(source)
    assert findings.manifest is None
    assert [part.name for part in findings.good] == ["run/part-0", "run/part-1"]
    assert {each.part for each in findings.problems} == {"manifest.json", "file/run/part-2"}


def test_a_missing_file_of_a_folder_is_named(tmp_path: Path) -> None:
    source = write(tmp_path, folder=True)
    (source / "file/run/part-0").unlink()
    assert problems(source) == {"run/part-0": "missing"}


def test_a_part_cannot_lead_out_of_the_data_directory(tmp_path: Path) -> None:
    source = write(tmp_path, folder=True)
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["parts"][0]["name"] = "../../etc/passwd"
    (source / "manifest.json").write_text(json.dumps(manifest))
    assert problems(source) == {"../../etc/passwd": "its name leads out of the backup"}


def test_a_backup_is_never_written_over_another_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        BackupWriter(tmp_path / "taken", folder=False)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_an_abandoned_backup_leaves_nothing(tmp_path: Path) -> None:
    for folder in (False, True):
        BackupWriter(tmp_path / "backup", folder=folder).abandon()
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_can_read_a_backup(tmp_path: Path) -> None:
    source = write(tmp_path)
    assert source.stat().st_mode & 0o077 == 0
    with tarfile.open(source) as archive:
        assert archive.getnames()[-1] == "manifest.json"


def test_the_error_names_every_damaged_part(tmp_path: Path) -> None:
    source = write(tmp_path, folder=True)
    for number in (0, 2):
        (source / f"file/run/part-{number}").write_bytes(b"short")
    with pytest.raises(DamagedBackupError) as error:
        check_backup(source, lambda _: None)
    named = [each["part"] for each in error.value.details["problems"]]
    assert named == ["run/part-0", "run/part-2"]


def test_something_else_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear reader, " * 100)
    assert "manifest.json" in problems(tmp_path / "letter")
    with pytest.raises(NotFoundError):
        read(tmp_path / "nothing")


async def test_a_folder_that_is_in_use_is_never_restored_into(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        await restore_backup(write(tmp_path), tmp_path / "data", lambda _: None)
    assert (tmp_path / "data" / "precious").read_text() == "mine"
