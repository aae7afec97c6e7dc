"""Signals as calls of an event loop, wherever the platform can do that."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HANGUP: int = getattr(signal, "SIGHUP", signal.SIGTERM)
"""The end of the terminal; where there is no such signal, what comes instead of it."""


def handle_signals(numbers: Iterable[int], call: Callable[[], object]) -> None:
    """Let the running loop make a call for each of these signals."""
    if _can_handle():
        loop = asyncio.get_running_loop()
        for number in numbers:
            loop.add_signal_handler(number, call)


def release_signals(numbers: Iterable[int]) -> None:
    """Let these signals do again what they do by themselves."""
    if _can_handle():
        loop = asyncio.get_running_loop()
        for number in numbers:
            loop.remove_signal_handler(number)


def _can_handle() -> bool:
    """Windows has no such handlers, and signals reach no thread but the first."""
    return os.name == "posix" and threading.current_thread() is threading.main_thread()
