"""Names whatever holds the event loop, because nothing else runs meanwhile."""

from __future__ import annotations

import asyncio
import logging
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_LOGGER = logging.getLogger("flunq.executor")
_STDLIB = (sysconfig.get_path("stdlib") + "/", "<frozen")


class LoopWatchdog:
    """A thread that pings the loop now and then and looks at its stack when no answer comes.

    ``describe`` says which task runs on the loop, ``busy`` whether there is anything to watch.
    """

    def __init__(
        self,
        describe: Callable[[asyncio.Task[object]], str | None],
        busy: Callable[[], bool],
        *,
        interval: float = 0.25,
        idle_interval: float = 2.5,
        threshold: float = 0.25,
        logger: logging.Logger = _LOGGER,
    ) -> None:
        self._describe = describe
        self._busy = busy
        self._interval = interval
        self._idle_interval = idle_interval
        self._threshold = threshold
        self._logger = logger
        self._stop = threading.Event()
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the running loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._watch,
            args=(loop, threading.get_ident()),
            name="flunq-watchdog",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._answered.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            if not self._busy():
                pause = self._idle_interval
                continue
            pause = self._interval
            self._answered.clear()
            try:
                loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            if not self._answered.wait(self._threshold):
                self._report(loop, thread)
                self._answered.wait()

    def _report(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        task = asyncio.current_task(loop)
        name = self._describe(task) or _coroutine(task) if task is not None else "a callback"
        if self._answered.is_set():
            return
        self._logger.warning(
            "%s has held the event loop for over %d ms, at %s; "
            "everything else on this node waits: make it a plain def, or await something",
            name,
            self._threshold * 1000,
            _place(sys._current_frames().get(thread)),
        )


def _coroutine(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__qualname__", "a task")


def _place(frame: FrameType | None) -> str:
    """Return the innermost line that is not the standard library's."""
    while frame is not None and frame.f_code.co_filename.startswith(_STDLIB):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place"
