"""The services' logs on disk: rotated by size, merged by time, followed."""

from __future__ import annotations

import heapq
import os
import shutil
import time
from collections import deque
from typing import TYPE_CHECKING

from flunq.telemetry.lines import LogLine, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LARGEST_LOG = 16 * 1024 * 1024
_POLL = 0.2


def rotate(path: Path, *, limit: int = LARGEST_LOG) -> bool:
    """Move a log that became too large aside; its writer goes on with the same open file.

    Writers append, so that truncating the file under them is safe.
    """
    try:
        if path.stat().st_size < limit:
            return False
        older = path.with_suffix(".log.1")
        shutil.copyfile(path, older)
        older.chmod(0o600)
        os.truncate(path, 0)
    except OSError:
        # No room for the copy, most likely; the next look may find some.
        return False
    return True


def services_of(folder: Path) -> list[str]:
    """Return the names of the services that have a log."""
    return sorted(path.stem for path in folder.glob("*.log"))


def merged(paths: Iterable[Path], *, limit: int = 0) -> list[LogLine]:
    """Return the lines of several logs by time; the last ``limit`` of them unless it is 0."""
    streams = [_timed(path) for path in paths]
    lines = (line for _, line in heapq.merge(*streams, key=lambda pair: pair[0]))
    return list(deque(lines, maxlen=limit or None))


def follow(paths: Iterable[Path]) -> Iterator[LogLine | None]:
    """Yield what is added to the logs from now on; None when there is nothing new."""
    followed = [_Followed(path) for path in paths]
    while True:
        fresh = sorted(
            (pair for file in followed for pair in file.fresh()), key=lambda pair: pair[0]
        )
        for _, line in fresh:
            yield line
        if not fresh:
            yield None
            time.sleep(_POLL)


def _timed(path: Path) -> Iterator[tuple[str, LogLine]]:
    last = ""
    for part in (path.with_suffix(".log.1"), path):
        try:
            with part.open(encoding="utf-8", errors="replace") as file:
                for text in file:
                    if text.strip():
                        line = parse_line(text.rstrip("\n"), service=path.stem)
                        last = line.time = line.time or last
                        yield last, line
        except FileNotFoundError:
            continue


class _Followed:
    """The end of one log, as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = self._size()
        self._rest = b""
        self._last_time = ""

    def fresh(self) -> list[tuple[str, LogLine]]:
        size = self._size()
        if size < self._position:
            self._position, self._rest = 0, b""
        if size == self._position:
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            added = file.read()
        self._position += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        return [self._parse(raw) for raw in whole if raw.strip()]

    def _parse(self, raw: bytes) -> tuple[str, LogLine]:
        line = parse_line(raw.decode(errors="replace"), service=self._path.stem)
        self._last_time = line.time = line.time or self._last_time
        return line.time, line

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0
