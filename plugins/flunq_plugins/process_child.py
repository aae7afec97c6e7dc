"""Programs as child processes: started through a warden, bounded, and gone when they are over."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import marshal
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from flunq.sdk.executor import TaskError
from flunq_plugins import process_warden

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE = 1.5
"""Seconds between SIGTERM and SIGKILL."""
TAIL = 8 * 1024
"""Bytes of an output that is only wanted for messages."""
_LAST_OUTPUT = 2.0
"""Seconds to wait for the end of the pipes once all processes are gone."""
_THREAD_ABOVE = 1 << 20


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and within which limits."""

    argv: list[str]
    environment: dict[str, str]
    stdin: bytes = b""
    files: dict[str, str] = {}
    """Files to find in the working directory, by name."""
    limits: dict[str, int] = {}
    """Limits of one process, by the names that the system gives them."""
    processes: int = 512
    grace: float = GRACE


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended."""

    code: int
    """As a shell counts: 128 and the signal for a program that was killed."""
    signal: int | None = None
    crowded: bool = False
    """It was killed because it had too many processes."""


class Output(asyncio.Protocol):
    """Collects what a program writes: all of it up to a limit, or only its end."""

    def __init__(self, limit: int | None, too_large: Callable[[], None] | None = None) -> None:
        self._limit = limit
        self._too_large = too_large
        self._data = bytearray()
        self.overflowed = False
        self.ended = asyncio.Event()

    def itself(self) -> Output:
        """Return itself; the loop wants to make its protocols."""
        return self

    def data_received(self, data: bytes) -> None:
        """Keep what counts."""
        if self.overflowed:
            return
        self._data += data
        if self._limit is None:
            if len(self._data) > 2 * TAIL:
                del self._data[:-TAIL]
        elif len(self._data) > self._limit:
            self.overflowed = True
            self._data.clear()
            if self._too_large is not None:
                self._too_large()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing more will come."""
        self.ended.set()

    def text(self) -> str:
        """Return the output as text, without the line breaks at its end."""
        return self._data.decode("utf-8", "replace").rstrip("\r\n")


class Child:
    """A running program; make one with :func:`start`."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        outputs: tuple[Output, ...],
        pipes: list[IO[bytes]],
    ) -> None:
        self._popen = popen
        self._outputs = outputs
        self._pipes: list[IO[bytes] | asyncio.ReadTransport] = [*pipes]
        self._writer: asyncio.StreamWriter | None = None
        self._life: asyncio.Task[Ended] | None = None

    async def connect(self, control: socket.socket, order: Order) -> None:
        """Hand the order to the warden and wait until the program has started."""
        loop = asyncio.get_running_loop()
        for number, output in enumerate(self._outputs):
            transport, _ = await loop.connect_read_pipe(output.itself, self._pipes[number])
            self._pipes[number] = transport
        reader, self._writer = await asyncio.open_unix_connection(sock=control)
        message = marshal.dumps(msgspec.structs.asdict(order) | {"stdin": b""})
        size = len(message).to_bytes(process_warden.LENGTH_BYTES, "big")
        self._writer.writelines((size, message))
        word, said = await _next(reader)
        if word != "started":
            raise _cannot_start(order.argv[0], said)
        self._life = asyncio.create_task(self._live(reader, said))

    async def ended(self) -> Ended:
        """Return how the program ended, once it and all that it started are gone."""
        assert self._life is not None
        return await asyncio.shield(self._life)

    @property
    def life(self) -> asyncio.Task[Ended]:
        """The task that ends with the program."""
        assert self._life is not None
        return self._life

    def stop(self) -> None:
        """Ask the program to end; it is killed if it does not."""
        self._say(process_warden.STOP)

    def kill(self) -> None:
        """End the program at once."""
        self._say(process_warden.KILL)

    async def abandon(self, control: socket.socket) -> None:
        """Let go of a program that has not started: the warden sees that and cleans up."""
        if self._writer is None:
            control.close()
        self._close()
        await _exit_of(self._popen)

    def _say(self, word: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(word)

    async def _live(self, reader: asyncio.StreamReader, folder: str) -> Ended:
        try:
            word, said = await _next(reader)
            await _exit_of(self._popen)
            await self._last_output()
        finally:
            self._close()
        if not word:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise TaskError("runtime", 500, "The program was lost", "its warden was killed")
        return _ended(int(said), crowded=word == "crowded")

    async def _last_output(self) -> None:
        """Wait for the end of the pipes; whoever still holds one is out of reach."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_OUTPUT):
                for output in self._outputs:
                    await output.ended.wait()

    def _close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        if self._writer is not None:
            self._writer.close()


async def start(
    order: Order, stdout: Output, stderr: Output, stdin: IO[bytes] | None = None
) -> Child:
    """Start a program; raises TaskError if that cannot be.

    ``stdin`` takes the place of the order's, for those who talk with the program; it is closed.
    """
    _check(order)
    ours, theirs = socket.socketpair()
    with theirs, contextlib.ExitStack() as unless_spawned:
        unless_spawned.callback(ours.close)
        try:
            stdin = stdin or await _stdin(order.stdin)
            with stdin:
                child = _spawn(theirs, stdin, stdout, stderr)
        except OSError as error:
            raise _cannot_start(order.argv[0], f"{error.errno} {error.strerror}") from error
        unless_spawned.pop_all()
    try:
        await child.connect(ours, order)
    except BaseException:  # also when the call is cancelled meanwhile
        await asyncio.shield(asyncio.create_task(child.abandon(ours)))
        raise
    return child


def _spawn(control: socket.socket, stdin: IO[bytes], *outputs: Output) -> Child:
    ends = [os.pipe() for _ in outputs]
    pipes: list[IO[bytes]] = [open(reading, "rb", 0) for reading, _ in ends]  # noqa: PTH123, SIM115 - a descriptor
    with contextlib.ExitStack() as unless_spawned:
        for pipe in pipes:
            unless_spawned.callback(pipe.close)
        try:
            popen = _popen(control.fileno(), stdin.fileno(), ends[0][1], ends[1][1])
        finally:
            for _, writing in ends:
                os.close(writing)
        unless_spawned.pop_all()
    return Child(popen, outputs, pipes)


def _popen(control: int, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    # -S: site-packages are no business of the warden, and looking at them takes time.
    argv = [sys.executable, "-I", "-S", process_warden.__file__, str(control)]
    return subprocess.Popen(  # noqa: S603 - an argument vector of our own making, no shell
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env={name: os.environ[name] for name in ("TMPDIR",) if name in os.environ},
        cwd="/",
        pass_fds=[control],
        start_new_session=True,
    )


async def _stdin(content: bytes) -> IO[bytes]:
    """Return a file to read from: a program that does not read it holds nobody up."""
    if not content:
        return Path(os.devnull).open("rb")  # noqa: ASYNC230 - opens at once
    if len(content) > _THREAD_ABOVE:
        return await asyncio.to_thread(_filled, content)
    return _filled(content)


def _filled(content: bytes) -> IO[bytes]:
    # In memory, because there may be secrets in it.
    if sys.platform == "linux":
        file: IO[bytes] = open(os.memfd_create("stdin", os.MFD_CLOEXEC), "w+b", 0)  # noqa: PTH123, SIM115 - a descriptor
    else:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]
    file.seek(0)
    return file


def _check(order: Order) -> None:
    texts = [*order.argv, *order.environment, *order.environment.values()]
    if any("\0" in text for text in texts):
        raise invalid("commands, arguments and environment cannot hold the character NUL")
    for name in order.environment:
        if not name or "=" in name:
            raise invalid(f"{name!r} is no name of an environment variable")


def invalid(problem: str) -> TaskError:
    """Return the error for what cannot be run as it is written."""
    return TaskError("validation", 400, "Not a valid process", problem)


def _cannot_start(program: str, reason: str) -> TaskError:
    number, _, words = reason.partition(" ")
    if number == str(errno.E2BIG):
        words += "; hand large values over as stdin"
    detail = f"{program}: {words or 'its warden was killed'}"
    if number in (str(errno.ENOENT), str(errno.EACCES)):
        return TaskError("configuration", 400, "The program cannot be run here", detail)
    return TaskError("runtime", 500, "The program could not be started", detail)


async def _next(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Return the first word that the warden says and the rest; nothing when it is gone."""
    try:
        line = (await reader.readline()).decode(errors="replace")
    except ConnectionError:
        line = ""
    word, _, rest = line.rstrip("\n").partition(" ")
    return word, rest


def _ended(status: int, *, crowded: bool) -> Ended:
    if status >= 0:
        return Ended(code=status, crowded=crowded)
    return Ended(code=128 - status, signal=-status, crowded=crowded)


async def _exit_of(popen: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a warden that has nothing more to do."""
    if popen.poll() is not None:
        return
    try:
        descriptor = os.pidfd_open(popen.pid)
    except (AttributeError, OSError):
        # No pidfds on this system.
        await asyncio.to_thread(popen.wait)
        return
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    popen.wait()
