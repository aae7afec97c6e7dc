"""How long ``flunq tui`` takes from nothing to its first frame, in a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

from flunq.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIZE = (40, 120)
_PAINTED = b"Executions"
"""The name of the first view, which the first frame shows."""
_PATIENCE = 30.0


def first_paint(environment: Mapping[str, str], arguments: Sequence[str]) -> float:
    """Start the monitor, return the seconds until it has painted, and end it."""
    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name[:6] != "FLUNQ_"}
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own program
        (sys.executable, "-P", "-m", "flunq", "tui", "--language", "en", *arguments),
        env={**inherited, **environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        _read_until(own, _PAINTED)
        return time.perf_counter() - began
    finally:
        _end(process, own)


def _read_until(terminal: int, wanted: bytes) -> None:
    shown = b""
    while wanted not in shown:
        readable, _, _ = select.select([terminal], [], [], _PATIENCE)
        try:
            read = os.read(terminal, 65_536) if readable else b""
        except OSError:
            read = b""  # the process has ended
        if not read:
            raise InternalError(f"the monitor painted nothing: {shown[-500:]!r}")
        shown += read


def _end(process: subprocess.Popen[bytes], terminal: int) -> None:
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
        # It cannot end while nobody reads what it has to say.
        readable, _, _ = select.select([terminal], [], [], 0.02)
        try:
            _ = os.read(terminal, 65_536) if readable else b""
        except OSError:
            break
    process.wait()
    os.close(terminal)
