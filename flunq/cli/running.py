"""Run a coroutine as a command: the first Ctrl-C stops it gracefully, the second at once."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from typer.exceptions import Exit

from flunq.cli.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))


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
            _restore_signals()
            signal.raise_signal(signal.SIGINT)
        interrupted.set()
        task.cancel()

    _catch_signals(stop)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted.is_set():
            raise Exit(on_interrupt) from None
        raise
    finally:
        _restore_signals()


def _catch_signals(stop: Any) -> None:
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, ValueError, RuntimeError):  # Windows, other threads
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)


def _restore_signals() -> None:
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, ValueError, RuntimeError):
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
