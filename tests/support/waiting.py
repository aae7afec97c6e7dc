"""Waiting in tests for something that can be seen, whatever time the machine takes for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flunq.testing.clock import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 40.0
"""Seconds; only a test that fails waits so long."""


async def elapse(seconds: float) -> None:
    """Let virtual time pass, which takes none; raises TypeError where time is real."""
    if not isinstance(asyncio.get_running_loop(), VirtualLoop):
        raise TypeError("wait for something that can be seen")
    await asyncio.sleep(seconds)


async def eventually(holds: Callable[[], Any], *, within: float = PATIENCE) -> None:
    """Return once something holds; raises TimeoutError if it does not in time."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.02)


def wait_until(holds: Callable[[], Any], *, within: float = PATIENCE) -> None:
    """Return once something holds, in tests without an event loop."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    """Tell whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_stopped(process: int) -> bool:
    """Tell whether all threads of a process are stopped; True when it has ended."""
    states = (path.read_text() for path in Path(f"/proc/{process}/task").glob("*/stat"))
    try:
        return all(text.rpartition(")")[2].split()[0] in "TtZX" for text in states)
    except OSError:
        return False  # a thread has ended meanwhile
