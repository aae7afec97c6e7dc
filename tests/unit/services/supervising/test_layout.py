from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

import pytest

from flunq.errors import UsageError
from flunq.services.supervising.layout import DataDirectory, DirectoryLock, is_locked, write_private

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """A data directory with its folders."""
    made = DataDirectory(tmp_path / "data")
    made.create()
    return made


def test_the_folders_are_there_and_private(directory: DataDirectory) -> None:
    names = {path.name for path in directory.root.iterdir()}
    assert names == {"nats", "history", "logs", "run"}
    assert stat.S_IMODE(directory.run.stat().st_mode) == 0o700


def test_a_file_in_the_way_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot use the data directory"):
        DataDirectory(tmp_path / "file" / "data").create()


def test_only_one_holds_the_lock(directory: DataDirectory) -> None:
    first, second = DirectoryLock(directory), DirectoryLock(directory)
    assert first.acquire()
    assert not second.acquire(patience=0)
    first.release()
    assert second.acquire(patience=0)
    second.release()


def test_looking_at_the_lock_does_not_take_it(directory: DataDirectory) -> None:
    lock = DirectoryLock(directory)
    assert not is_locked(directory)
    assert lock.acquire()
    assert is_locked(directory)
    lock.release()
    assert not is_locked(directory)


def test_a_private_file_replaces_the_old_one_whole(directory: DataDirectory) -> None:
    path = directory.run / "secret.json"
    path.write_text("old and open")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in directory.run.iterdir()] == ["secret.json"]


@pytest.mark.parametrize(
    ("number", "says", "hint"),
    [
        (errno.ENOSPC, "no space left on device", "free some space"),
        (errno.EACCES, "permission denied", "belong to you"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_their_directory(
    directory: DataDirectory, number: int, says: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=says) as refused, directory.used():
        raise OSError(number, "in the system's words", str(directory.lock))
    assert str(directory.root) in refused.value.message
    assert hint in str(refused.value.hint)
    assert refused.value.details["where"] == str(directory.lock)


def test_what_is_no_error_of_files_stays_what_it_is(directory: DataDirectory) -> None:
    with pytest.raises(ConnectionRefusedError), directory.used():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
