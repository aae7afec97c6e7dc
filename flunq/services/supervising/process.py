"""One child process: started so that it cannot outlive its parent, awaited without polling."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_SET_PARENT_DEATH_SIGNAL = 1
_LAST_BYTES = 16 * 1024

LIFELINE_VARIABLE = "FLUNQ_LIFELINE_FD"
"""A pipe that nobody writes to: its end of file tells a child that the parent is gone."""
READY_VARIABLE = "FLUNQ_READY_FD"
"""A pipe on which a child writes one line once it is ready."""


class Command(msgspec.Struct, kw_only=True, frozen=True):
    """What to start. Secrets travel in files that ``environment`` names, never in here."""

    argv: list[str]
    environment: dict[str, str] = {}
    log: str
    ours: bool = True
    """Whether the child knows the lifeline and the ready pipe (nats-server does not)."""
    sockets: list[int] = []
    death_signal: int = signal.SIGTERM


class Process:
    """A running child; make one with :func:`spawn`."""

    def __init__(self, popen: subprocess.Popen[bytes], lifeline: int | None, ready: int | None):
        self._popen = popen
        self._lifeline = lifeline
        self._ready = ready
        self.pid = popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not been reaped yet."""
        return self._popen.returncode is None

    async def wait_exit(self) -> int:
        """Return the exit code once it has ended; negative for a signal."""
        if self._popen.poll() is None:
            await _exit_of(self.pid, self._popen)
        self._close()
        return self._popen.wait()

    async def wait_ready(self) -> bool:
        """Return whether the child said that it is ready; False when it ended instead."""
        if self._ready is None:
            return False
        await _readable(self._ready)
        line = os.read(self._ready, 256)
        os.close(self._ready)
        self._ready = None
        return bool(line)

    def send(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self._popen.poll() is None:
            self._popen.send_signal(number)

    async def stop(self, grace: float) -> int:
        """End it: SIGTERM, then SIGKILL after ``grace`` seconds."""
        self.send(signal.SIGTERM)
        # A stopped process would otherwise sit on the signal.
        self.send(signal.SIGCONT)
        try:
            async with asyncio.timeout(grace):
                return await self.wait_exit()
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait_exit()

    def _close(self) -> None:
        for fd in (self._lifeline, self._ready):
            if fd is not None:
                os.close(fd)
        self._lifeline = self._ready = None


def spawn(command: Command) -> Process:
    """Start a child with its output appended to its log."""
    environment = {**os.environ, **command.environment}
    lifeline = ready = None
    inherited = list(command.sockets)
    ours: list[int] = []
    if command.ours:
        child_lifeline, lifeline = os.pipe()
        ready, child_ready = os.pipe()
        ours = [child_lifeline, child_ready]
        environment[LIFELINE_VARIABLE] = str(child_lifeline)
        environment[READY_VARIABLE] = str(child_ready)
    try:
        popen = _popen(command, environment, inherited + ours)
    except OSError:
        for fd in (lifeline, ready):
            if fd is not None:
                os.close(fd)
        raise
    finally:
        for fd in ours:
            os.close(fd)
    return Process(popen, lifeline, ready)


def _popen(
    command: Command, environment: dict[str, str], inherited: list[int]
) -> subprocess.Popen[bytes]:
    log = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - an argument vector of our own making, no shell
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            pass_fds=inherited,
            # Ctrl-C in the terminal is for the supervisor, which then drains its children in order.
            start_new_session=True,
            preexec_fn=_die_with(os.getpid(), command.death_signal),
        )
    finally:
        os.close(log)


def _die_with(parent: int, number: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


async def _exit_of(pid: int, popen: subprocess.Popen[bytes]) -> None:
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        # No pidfds on this system: a thread per child is the next best thing.
        await asyncio.to_thread(popen.wait)
        return
    try:
        await _readable(fd)
    finally:
        os.close(fd)


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(fd)


def describe_exit(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def size_of(path: str | Path) -> int:
    """Return how long a log is, 0 when there is none."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def last_lines(path: str | Path, count: int, *, after: int = 0) -> list[str]:
    """Return the end of a log, of what was written after a position, without reading all."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_BYTES, after if after <= size else 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]


def resident_bytes(pid: int) -> int | None:
    """Return the memory of a process, where the system tells it cheaply."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
