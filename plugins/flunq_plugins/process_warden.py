"""Runs one program and leaves nothing of it behind.

This is a process of its own between a node and a program (``process_child`` starts it). It reads
an order from the socket whose descriptor is its argument, starts the program and answers with
``started`` or ``failed``, later with ``ended``. On Linux every descendant of the program, however
it detaches itself, becomes a child of this process and cannot hide from it. When the program ends,
when the node says so and when the node is gone, all of them are killed and the working directory
is removed.

Every program waits for this to start. So it imports what the interpreter has built in and little
else: all that is missed here would take twice as long as the rest.
"""

# pathlib and contextlib take longer to import than everything here together.
# ruff: noqa: PTH102, PTH114, PTH123, PTH208, SIM105
from __future__ import annotations

import marshal
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

STOP, KILL = b"T", b"K"
LENGTH_BYTES = 4
_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GIVE_UP_SECONDS = 5.0
_FIRST_LOOK, _LATER_LOOKS, _CERTAIN_LOOK = 0.05, 0.5, 5.0
"""Seconds between looks at the number of processes: at first, later on, and at the latest."""
_DEFAULT_SIGNALS = ("SIGCHLD", "SIGTERM", "SIGINT", "SIGPIPE", "SIGXFSZ")


def _prctl(option: int, value: int) -> None:
    if not _LINUX:
        return
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _read_order(control: int) -> dict[str, Any]:
    size = int.from_bytes(_exactly(control, LENGTH_BYTES), "big")
    order: dict[str, Any] = marshal.loads(_exactly(control, size))  # noqa: S302 - from the parent
    return order


def _exactly(control: int, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = os.read(control, min(size - len(received), 1 << 20))
        if not chunk:
            sys.exit(1)
        received += chunk
    return bytes(received)


def _tell(control: int, *words: object) -> None:
    # The node may be gone by now.
    _quietly(os.write, control, " ".join(map(str, words)).encode() + b"\n")


def _quietly(do: Callable[..., object], *arguments: object) -> None:
    """Do what may fail because somebody was faster."""
    try:
        do(*arguments)
    except OSError:
        pass


def descendants(root: int) -> list[int]:
    """Return the processes below one, as far as the system shows them."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if _LINUX else ():
        if entry.isdigit():
            children.setdefault(_parent_of(entry), []).append(int(entry))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _parent_of(process: str) -> int:
    try:
        # The name, in brackets, may hold anything; the parent is the second field after it.
        return int(_content(f"/proc/{process}/stat").rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _content(path: str) -> bytes:
    with open(path, "rb", 0) as file:
        return file.read()


def _threads() -> int:
    """Return how many threads the machine has: cheap, and a hint that it is time to count."""
    if not _LINUX:
        return 0
    return int(_content("/proc/loadavg").split()[3].partition(b"/")[2])


def _new_folder() -> str:
    above = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - its names are not to be guessed
    folder = f"{above}/flunq-run-{os.urandom(8).hex()}"
    os.mkdir(folder, 0o700)
    return folder


def _remove(folder: str) -> None:
    """Remove a folder with all that is in it, following no links."""
    for top, folders, _ in os.walk(folder):
        for name in folders:
            if not os.path.islink(f"{top}/{name}"):
                _quietly(os.chmod, f"{top}/{name}", 0o700)
    for top, folders, files in os.walk(folder, topdown=False):
        for name in files:
            _quietly(os.unlink, f"{top}/{name}")
        for name in folders:
            path = f"{top}/{name}"
            _quietly(os.unlink if os.path.islink(path) else os.rmdir, path)
    _quietly(os.rmdir, folder)


class _Crowd:
    """Watches how many processes the program has."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._before = _threads()
        self._counted = time.monotonic()
        self.pause = _FIRST_LOOK

    def is_too_large(self) -> bool:
        """Look, and say whether there are more than allowed."""
        self.pause = min(self.pause * 1.2, _LATER_LOOKS)
        now, threads = time.monotonic(), _threads()
        if threads - self._before < self._limit // 2 and now - self._counted < _CERTAIN_LOOK:
            return False
        self._counted = now
        return len(descendants(os.getpid())) > self._limit


class Warden:
    """Watches over one program."""

    def __init__(self, control: int, order: dict[str, Any]) -> None:
        self._control = control
        self._order = order
        self._parent = os.getppid()
        self._folder = _new_folder()
        self._crowd = _Crowd(int(order["processes"]))
        self._main = 0
        self._status: int | None = None
        self._limit: float | None = None
        """When to stop being patient."""
        self._wakeup, waker = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, _nothing)

    def run(self) -> None:
        """Run the program to its end."""
        try:
            failure = self._start()
            if failure is not None:
                _tell(self._control, "failed", failure)
                return
            _tell(self._control, "started", self._folder)
            crowded = self._watch()
            self._clear()
        finally:
            _remove(self._folder)
        status = -signal.SIGKILL if self._status is None else self._status
        _tell(self._control, "crowded" if crowded else "ended", int(status))

    def _start(self) -> str | None:
        for name, content in self._order["files"].items():
            with open(f"{self._folder}/{name}", "wb") as file:
                file.write(content.encode())
        reading, writing = os.pipe()
        warden = os.getpid()
        self._main = os.fork()
        if self._main == 0:
            self._become(writing, warden)
        os.close(writing)
        failure = os.read(reading, 4096).decode(errors="replace")
        os.close(reading)
        return failure or None

    def _become(self, writing: int, warden: int) -> NoReturn:
        """Become the program; this is the child."""
        order = self._order
        try:
            os.setsid()
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != warden:
                os._exit(127)
            for name in _DEFAULT_SIGNALS:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            for name, limit in order["limits"].items():
                _set_limit(getattr(resource, name), limit)
            os.chdir(self._folder)
            environment = {"HOME": self._folder, **order["environment"]}
            os.execvpe(order["argv"][0], order["argv"], environment)  # noqa: S606 - its purpose
        except OSError as error:
            os.write(writing, f"{error.errno} {error.strerror}".encode())
        except BaseException as error:  # noqa: BLE001 - nothing may leave this child
            os.write(writing, f"0 {type(error).__name__}: {error}"[:1000].encode())
        os._exit(127)

    def _watch(self) -> bool:
        """Return once the program has ended or must end; tell whether it was too many processes."""
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(self._patience() * 1000)}
            self._drain()
            if self._control in ready and not self._obey():
                poll.unregister(self._control)
            if os.getppid() != self._parent:
                self._stop()
            self._reap()
            late = self._limit is not None and time.monotonic() >= self._limit
            if self._status is not None or late:
                return False
            if self._crowd.is_too_large():
                return True

    def _patience(self) -> float:
        if self._limit is None:
            return self._crowd.pause
        return max(0.0, min(self._crowd.pause, self._limit - time.monotonic()))

    def _drain(self) -> None:
        _quietly(os.read, self._wakeup, 512)

    def _obey(self) -> bool:
        """Do what the node wants; False when nothing more will come from it."""
        try:
            said = os.read(self._control, 16)
        except OSError:
            said = b""
        self._stop()
        if KILL in said:
            self._limit = time.monotonic()
        return bool(said)

    def _stop(self) -> None:
        """Ask all to end and note how long they may take."""
        if self._limit is not None:
            return
        self._limit = time.monotonic() + self._order["grace"]
        for number in (signal.SIGTERM, signal.SIGCONT):
            _quietly(os.killpg, self._main, number)
            for process in descendants(os.getpid()):
                _quietly(os.kill, process, number)

    def _reap(self) -> bool:
        """Collect who has ended; False when nobody is left."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if process == 0:
                return True
            if process == self._main:
                self._status = os.waitstatus_to_exitcode(status)

    def _clear(self) -> None:
        """Kill everybody, until nobody is left."""
        limit = time.monotonic() + _GIVE_UP_SECONDS
        _quietly(os.killpg, self._main, signal.SIGKILL)
        while self._reap() and time.monotonic() < limit:
            # Who stands still has no more children; so the second round finds them all.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for process in descendants(os.getpid()):
                    _quietly(os.kill, process, number)
            select.select([self._wakeup], [], [], 0.02)
            self._drain()


def _nothing(number: int, frame: object) -> None:
    """Only wake the loop."""


def _set_limit(which: int, limit: int) -> None:
    """Lower a limit; one that is lower already stays."""
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(which, (limit, limit))


def main(control: int) -> None:
    """Take an order and carry it out."""
    os.set_inheritable(control, False)
    order = _read_order(control)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    Warden(control, order).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os._exit(0)  # tidying up the interpreter takes time and does nothing
