"""What the historian does once, when asked: compact, rebuild, scrub; one job after another."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.core.protocol import CompactLake, LakeJob, RebuildLake, ScrubLake
from flunq.errors import FlunqError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

Wanted = CompactLake | RebuildLake | ScrubLake
KEPT = 100


class Jobs:
    """Jobs wait in line; the same question while its job waits or runs is the same job."""

    def __init__(self, work: Callable[[Wanted], Awaitable[str]]) -> None:
        self._work = work
        self._line: asyncio.Queue[tuple[int, Wanted]] = asyncio.Queue()
        self._open: dict[int, Wanted] = {}
        self._jobs: dict[int, LakeJob] = {}
        self._last = 0

    def add(self, wanted: Wanted) -> LakeJob:
        """Put a job in line."""
        for number, same in self._open.items():
            if same == wanted:
                return self._jobs[number]
        self._last += 1
        kind = str(wanted.__struct_config__.tag).removesuffix("-lake")
        job = self._jobs[self._last] = LakeJob(id=self._last, kind=kind, state="running")
        self._open[self._last] = wanted
        self._line.put_nowait((self._last, wanted))
        while len(self._jobs) > KEPT:
            del self._jobs[next(iter(self._jobs))]
        return job

    def list(self) -> list[LakeJob]:
        """Return the newest jobs, oldest first."""
        return list(self._jobs.values())

    async def run(self) -> None:
        """Work for ever."""
        while True:
            number, wanted = await self._line.get()
            try:
                self._end(number, "done", await self._work(wanted))
            except FlunqError as error:
                hint = f"; {error.hint}" if error.hint else ""
                self._end(number, "failed", f"{error.message}{hint}")
            except Exception as error:  # who asked must hear of it, and the next job must run
                log.warning("a job of the archive failed", exc_info=error)
                self._end(number, "failed", str(error) or type(error).__name__)
            finally:
                self._open.pop(number, None)

    def _end(self, number: int, state: str, detail: str) -> None:
        if number in self._jobs:
            self._jobs[number] = msgspec.structs.replace(
                self._jobs[number], state=state, detail=detail
            )
