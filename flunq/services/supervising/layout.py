"""The data directory of a local cluster: its folders, its files and the lock on it."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from shutil import disk_usage
from time import monotonic, sleep
from typing import TYPE_CHECKING

from flunq.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
FULL = 1 << 20
"""Bytes without which no server starts."""
_ANOTHER = "name another one with --data"
_NO_SPACE = "free some space on its disk, or name another one with --data"
_NOT_YOURS = "it has to belong to you; name another one with --data"
_OF_FILES = {
    errno.ENOTDIR: _ANOTHER,
    errno.EEXIST: _ANOTHER,
    errno.ENOENT: _ANOTHER,
    errno.EROFS: _ANOTHER,
    errno.EIO: _ANOTHER,
    errno.ENAMETOOLONG: _ANOTHER,
    errno.EACCES: _NOT_YOURS,
    errno.EPERM: _NOT_YOURS,
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
}
"""What to do about errors that files give, and connections do not."""


class DataDirectory:
    """One cluster's files: ``nats/ history/ logs/ run/``."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.nats = self.root / "nats"
        self.history = self.root / "history"
        self.logs = self.root / "logs"
        self.run = self.root / "run"
        self.lock = self.run / "lock"
        self.state = self.run / "cluster.json"
        self.credentials = self.run / "credentials.json"

    def create(self) -> None:
        """Make the folders; what they hold is nobody else's business."""
        with self.used():
            for folder in (self.root, self.nats, self.history, self.logs, self.run):
                folder.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Say which directory it is that files cannot be read from or written to."""
        try:
            yield
        except OSError as error:
            if error.errno not in _OF_FILES:
                raise
            reason, file = os.strerror(error.errno).lower(), error.filename
            raise UsageError(
                f"cannot use the data directory {self.root}: {reason}",
                hint=_OF_FILES[error.errno],
                **{} if file is None else {"where": str(file)},
            ) from error

    @property
    def is_full(self) -> bool:
        """Whether hardly anything can be written any more."""
        return disk_usage(self.root).free < FULL

    def log_file(self, service: str) -> Path:
        """Return the log of one service."""
        return self.logs / f"{service}.log"

    def node_config(self, service: str) -> Path:
        """Return the settings file of one child process."""
        return self.run / f"{service}.json"


class DirectoryInUseError(UsageError):
    """Another supervisor works on this data directory."""

    code = "data-directory-in-use"


class DirectoryLock:
    """The exclusive right to run a cluster on a data directory; ends with the process."""

    def __init__(self, directory: DataDirectory) -> None:
        self._path = directory.lock
        self._fd: int | None = None

    def acquire(self, *, patience: float = 0.3) -> bool:
        """Take the lock; readers look at it for a moment only, hence the patience."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        deadline = monotonic() + patience
        while not _try_flock(self._fd, fcntl.LOCK_EX):
            if monotonic() > deadline:
                self.release()
                return False
            sleep(0.02)
        return True

    def release(self) -> None:
        """Give the lock up."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_locked(directory: DataDirectory) -> bool:
    """Tell whether a supervisor is alive there; pids alone lie, because they are used again."""
    try:
        fd = os.open(directory.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _try_flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def private_umask() -> Iterator[None]:
    """Create files that only their owner can read, whatever the shell's umask."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file in one step, readable by its owner alone."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
