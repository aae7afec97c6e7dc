"""Whether a nats-server works: at its start, and while it runs."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING

import msgspec

from flunq.services.supervising.network import http_get

if TYPE_CHECKING:
    from pathlib import Path

    from flunq.services.supervising.process import Process

_START_INTERVAL = 0.01
_SPACE_TO_GO_ON = 64 * 1024 * 1024
_NOT_THERE = "could not be recovered"
_MAKING_SECONDS = 1.0
_MAKING_INTERVAL = 0.05


class _Answer(msgspec.Struct):
    status: str = ""
    error: str = ""


class ServerReadiness:
    """Ready once the monitor says that JetStream can be used."""

    def __init__(self, monitor: str) -> None:
        self._monitor = monitor

    async def __call__(self, process: Process) -> bool:
        """Ask often for the short time that a start takes; a dead process ends the asking."""
        interval = _START_INTERVAL
        while process.running:
            if await health_problem(self._monitor, within=1.0) is None:
                return True
            await asyncio.sleep(interval)
            interval = min(interval * 1.2, 0.25)
        return False


class ServiceReadiness:
    """Ready once the process says so itself."""

    async def __call__(self, process: Process) -> bool:
        """Wait for its word."""
        return await process.wait_ready()


async def health_problem(monitor: str, *, within: float = 2.0) -> str | None:
    """Return what a nats-server complains about, None when it is well.

    For some milliseconds the server takes a stream that is just being made for one that it has
    lost: that counts only if it goes on.
    """
    problem = await _complaint(monitor, within)
    given_up = time.monotonic() + _MAKING_SECONDS
    while problem is not None and _NOT_THERE in problem and time.monotonic() < given_up:
        await asyncio.sleep(_MAKING_INTERVAL)
        problem = await _complaint(monitor, within)
    return problem


async def _complaint(monitor: str, within: float) -> str | None:
    try:
        status, body = await http_get(f"{monitor}/healthz", within=within)
    except TimeoutError:
        return f"no answer within {within:g} s"
    except OSError as error:
        return f"no answer: {error.strerror or error}"
    if status == 200:
        return None
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError:
        return f"health check answered {status}"
    return answer.error or answer.status or f"health check answered {status}"


class HealthWatch:
    """Decides when a server that runs but does not work is to be restarted.

    A store that failed to write stays failed until the server is restarted, even when the disk has
    room again; restarting it while the disk is full would not help.
    """

    def __init__(self, monitor: str, store: Path, *, patience: int = 3) -> None:
        self._monitor = monitor
        self._store = store
        self._patience = patience
        self._failures = 0

    async def check(self) -> tuple[str | None, bool]:
        """Return what is wrong, if anything, and whether a restart is due."""
        problem = await health_problem(self._monitor, within=3.0)
        if problem is None or catching_up(problem):
            self._failures = 0
            return problem, False
        self._failures += 1
        due = self._failures >= self._patience and self._has_room()
        if due:
            self._failures = 0
        return problem, due

    def _has_room(self) -> bool:
        try:
            usage = shutil.disk_usage(self._store)
        except OSError:
            return True
        return usage.free >= min(_SPACE_TO_GO_ON, usage.total // 20)


def catching_up(problem: str) -> bool:
    """Tell whether a member of a cluster is behind the others: it needs time, not a restart."""
    return any(words in problem for words in ("not current", "not caught up", "meta leader"))
