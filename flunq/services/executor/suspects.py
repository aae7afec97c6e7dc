"""Which tasks take their process down: known only when a task that was alone did.

A process that dies takes all of its tasks with it, so their deliveries accuse the innocent too.
Tasks that were delivered often therefore begin one at a time, and their names lie in a file while
they do: what is still named there when the next process starts was alone when the last one died.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROBATION = 1.0
"""Seconds after which a process that still lives was not brought down by what it began."""
_LOGGER = logging.getLogger("flunq.executor")
_KEPT = 1_000
_ABSENT = object()


class _Record(msgspec.Struct):
    begun: str | None = None
    deaths: dict[str, int] = {}


class Suspects:
    """What the processes of one node died of, across their deaths."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._record = _read(file)
        if (task := self._record.begun) is not None:
            deaths = self._record.deaths
            deaths[task] = deaths.get(task, 0) + 1
            self._record = _Record(deaths=dict(list(deaths.items())[-_KEPT:]))
            self._write()

    def deaths(self, task: str) -> int:
        """Return how many processes died while a task was on its own."""
        return self._record.deaths.get(task, 0)

    def begin(self, task: str) -> None:
        """Note that a task is begun, the only one under suspicion."""
        self._record.begun = task
        self._write()

    def acquit(self) -> None:
        """Note that the process lives on, and nothing is under suspicion."""
        self._record.begun = None
        self._write()

    def forget(self, task: str) -> None:
        """Drop what is known about a task that is over."""
        if self._record.deaths.pop(task, None) is not None:
            self._write()

    def _write(self) -> None:
        # It outlives the process, not the machine: no fsync. Without it nobody is accused.
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(self._record))
            fresh.replace(self._file)
        except OSError as error:
            _LOGGER.warning("%s cannot be written: %s", self._file, error)


class Probation:
    """The line of tasks that were delivered often: each has the process to itself at first."""

    def __init__(self, suspects: Suspects, begin: Callable[[str], None]) -> None:
        self._suspects = suspects
        self._begin = begin
        self._line: dict[str, None] = {}
        self._alone: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def deaths(self, task: str) -> int:
        """Return how many processes died while a task was on its own."""
        return self._suspects.deaths(task)

    def enter(self, task: str) -> None:
        """Line up a task; ``begin`` is called when it is its turn."""
        self._line[task] = None
        self._advance()

    def leave(self, task: str) -> bool:
        """Take a task out of the line; False if it does not wait there."""
        return self._line.pop(task, _ABSENT) is None

    def close(self) -> list[str]:
        """Begin nothing more; return the tasks that wait."""
        waiting = list(self._line)
        self._line.clear()
        return waiting

    def over(self, task: str) -> None:
        """Note that a task came to an end, good or bad, and the process did not."""
        self._suspects.forget(task)
        if task == self._alone:
            self._acquit()

    def _advance(self) -> None:
        if self._alone is None and self._line:
            self._alone = task = next(iter(self._line))
            del self._line[task]
            self._suspects.begin(task)
            self._timer = asyncio.get_running_loop().call_later(PROBATION, self._acquit)
            self._begin(task)

    def _acquit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._alone = self._timer = None
        self._suspects.acquit()
        self._advance()


def _read(file: Path) -> _Record:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(file.read_bytes(), type=_Record)
    return _Record()
