"""Run a coroutine as a command: the first Ctrl-C stops it gracefully, the second at once."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, TypeVar

from typer.exceptions import Exit

from flunq.cli.exits import ExitCode
from flunq.services.signals import HANGUP, handle_signals, release_signals

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, HANGUP)


def run_async(coroutine: Coroutine[Any, Any, T], *, on_interrupt: int = ExitCode.INTERRUPTED) -> T:
    """Run a coroutine and return its result.

    Ctrl-C, SIGTERM and SIGHUP cancel it, so that its ``finally`` and ``async with`` clean up; the
    command then ends with ``on_interrupt`` (130; commands that run until stopped pass 0).
    """
    return asyncio.run(_interruptible(coroutine, on_interrupt))


async def _interruptible(coroutine: Coroutine[Any, Any, T], on_interrupt: int) -> T:
    task = asyncio.ensure_future(coroutine)
    interrupted = asyncio.Event()

    def stop() -> None:
        if interrupted.is_set():
            release_signals(_SIGNALS)
            signal.raise_signal(signal.SIGINT)
        interrupted.set()
        task.cancel()

    handle_signals(_SIGNALS, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted.is_set():
            raise Exit(on_interrupt) from None
        raise
    finally:
        release_signals(_SIGNALS)
