"""What every service process has in common: signals, readiness, drain, exit codes, logging.

A service is a coroutine ``main(lifecycle)``. It calls ``lifecycle.ready()`` once it works and
returns when ``lifecycle.stop`` is set and everything in hand is finished.

* SIGTERM, SIGINT, SIGHUP, or the end of the parent: stop gracefully, within a deadline.
* A second signal: end at once.
* The deadline is held by the kernel too, for a process whose interpreter is stuck.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from flunq.errors import FlunqError, UsageError
from flunq.log.ports import NotPermittedError, TransportLostError
from flunq.services import descriptors
from flunq.services.lasting import innermost
from flunq.services.supervising.process import LIFELINE_VARIABLE, READY_VARIABLE
from flunq.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_log = logging.getLogger(__name__)

DRAIN_SECONDS = 8.0
DRAIN_MARGIN = 1.0
ORPHAN_DRAIN_SECONDS = 1.5
_LAST_CALL_SECONDS = 0.5
_SETTLING_SECONDS = 1.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

EXIT_CRASHED = 1
EXIT_TRANSPORT_LOST = 75
"""The connection is gone for good; a fresh process will do better."""


class Lifecycle:
    """How a service process and the world outside tell each other what happens."""

    def __init__(self, name: str, *, drain: float = DRAIN_SECONDS) -> None:
        self.name = name
        self.stop = asyncio.Event()
        self.reason: str | None = None
        self._drain = drain
        self._ready_fd = _fd_from(READY_VARIABLE)
        self._lifeline_fd = _fd_from(LIFELINE_VARIABLE)
        self._too_late = asyncio.Event()
        self._orphaned = False

    @property
    def draining(self) -> bool:
        """Whether the process is on its way out."""
        return self.stop.is_set()

    def ready(self) -> None:
        """Tell the supervisor, if there is one, that the service works."""
        _log.info("%s is ready", self.name)
        asyncio.get_running_loop().call_later(_SETTLING_SECONDS, _give_memory_back)
        if self._ready_fd is not None:
            # The supervisor may have died since; its lifeline says so, nothing here does.
            try:
                os.write(self._ready_fd, b"ready\n")
            except BrokenPipeError:
                _log.debug("nobody waits for the ready signal")
            finally:
                os.close(self._ready_fd)
                self._ready_fd = None

    def request_stop(self, reason: str, *, within: float | None = None) -> None:
        """Ask the service to finish; asking a second time changes nothing."""
        if self.stop.is_set():
            return
        self.reason = reason
        _log.info("%s stops: %s", self.name, reason)
        self._finish_within(self._drain if within is None else within)
        self.stop.set()

    def install(self) -> None:
        """Listen to signals and to the parent's end."""
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        if self._lifeline_fd is not None:
            loop.add_reader(self._lifeline_fd, self._on_orphaned)

    async def deadline_passed(self) -> None:
        """Return when the time to drain is over."""
        await self._too_late.wait()

    def _finish_within(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._too_late.set)
        _arm_kernel_deadline(seconds + 2 * _LAST_CALL_SECONDS)

    def _on_signal(self, number: int) -> None:
        if self._orphaned and number == signal.SIGTERM:
            # The system tells of the parent's end this way too, in any order with the lifeline.
            return
        if self.stop.is_set():
            _log.warning("%s ends at once: second signal", self.name)
            _leave(128 + number)
        self.request_stop(signal.Signals(number).name)

    def _on_orphaned(self) -> None:
        assert self._lifeline_fd is not None
        asyncio.get_running_loop().remove_reader(self._lifeline_fd)
        self._orphaned = True
        if self.stop.is_set():
            self._finish_within(ORPHAN_DRAIN_SECONDS)
        self.request_stop("the parent process is gone", within=ORPHAN_DRAIN_SECONDS)


def run_process(
    main: Callable[[Lifecycle], Coroutine[Any, Any, None]],
    *,
    name: str,
    log_style: str = "json",
    log_level: str | None = None,
    drain: float = DRAIN_SECONDS,
) -> int:
    """Run a service as this process and return its exit code."""
    configure_logging(level=log_level, style=log_style)
    descriptors.take_allowed()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            code = runner.run(_supervise(main, name, drain))
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
    # Threads of user functions that ignore the drain must not hold the process.
    _leave(code)
    return code


async def _supervise(
    main: Callable[[Lifecycle], Coroutine[Any, Any, None]], name: str, drain: float
) -> int:
    lifecycle = Lifecycle(name, drain=drain)
    lifecycle.install()
    working = asyncio.create_task(main(lifecycle), name=name)
    too_late = asyncio.create_task(lifecycle.deadline_passed())
    try:
        await asyncio.wait([working, too_late], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            _log.warning("%s did not finish in time and is cut off", name)
            working.cancel()
            await asyncio.wait([working], timeout=_LAST_CALL_SECONDS)
        return _exit_code(working, lifecycle)
    finally:
        too_late.cancel()


def _exit_code(working: asyncio.Task[None], lifecycle: Lifecycle) -> int:
    if not working.done() or working.cancelled():
        return EXIT_CRASHED
    error = working.exception()
    if error is None:
        if not lifecycle.draining:
            _log.error("%s ended although nobody asked it to", lifecycle.name)
            return EXIT_CRASHED
        return 0
    return _code_of(innermost(error), lifecycle.name)


def _code_of(error: BaseException, name: str) -> int:
    if isinstance(error, FlunqError):
        hint = f" ({error.hint})" if error.hint else ""
        _log.error("%s%s", error.message, hint)
        return error.exit_code
    if isinstance(error, TransportLostError):
        _log.error("the connection to NATS is lost for good: %s", error)
        return EXIT_TRANSPORT_LOST
    if isinstance(error, NotPermittedError):
        _log.error("%s (log in as the engine's user: FLUNQ_NATS_USER, FLUNQ_NATS_PASSWORD)", error)
        return UsageError.exit_code
    _log.critical("%s crashed", name, exc_info=error)
    return EXIT_CRASHED


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if os.environ.get("FLUNQ_UVLOOP", "1") == "0":
        return None
    try:
        import uvloop  # not there for every platform, and not worth its import in short commands
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _fd_from(variable: str) -> int | None:
    value = os.environ.pop(variable, "")
    if not value.isdigit():
        return None
    fd = int(value)
    os.set_inheritable(fd, False)
    return fd


def _arm_kernel_deadline(seconds: float) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _give_memory_back() -> None:
    """Let go of what only the start has needed; of the C libraries, glibc alone keeps it."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        _log.debug("this system gives memory back by itself")


def _leave(code: int) -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
