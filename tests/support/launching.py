"""Run ``flunq`` commands as processes that are forked from one which has imported everything."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

PROGRAM = Path(__file__).with_name("zygote.py")
OF_THE_INTERPRETER = ("PYTHON", "LANG", "LC_")
"""What Python reads as it starts: a process that was forked does not see a change of it."""


class Ended(NamedTuple):
    """How a process ended and what it wrote."""

    code: int
    out: str
    err: str


def can_be_forked(environ: Mapping[str, str]) -> bool:
    """Tell whether a command with these variables may be forked from another process."""
    return not any(name.startswith(OF_THE_INTERPRETER) for name in environ)


def launch(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    stdin: str,
    timeout: float,
) -> Ended:
    """Run a command to its end; raises TimeoutError, and kills it, when it takes too long."""
    request = {"arguments": list(arguments), "environment": dict(environment), "cwd": str(cwd)}
    with ExitStack() as stack:
        asked, given, out, err = (stack.enter_context(TemporaryFile()) for _ in range(4))
        _fill(asked, json.dumps(request))
        _fill(given, stdin)
        ours, theirs = (stack.enter_context(each) for each in socket.socketpair())
        files = [each.fileno() for each in (theirs, asked, given, out, err)]
        socket.send_fds(_zygote(), [b"x"], files)
        theirs.close()
        ours.settimeout(timeout)
        code = _exit_code(stack.enter_context(ours.makefile("r")))
        return Ended(code, _text(out), _text(err))


@cache
def _zygote() -> socket.socket:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-P", str(PROGRAM)], stdin=theirs.fileno())
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _exit_code(reply: IO[str]) -> int:
    process = reply.readline()
    assert process, "the process that commands are forked from has ended"
    try:
        return int(reply.readline())
    except TimeoutError:
        os.kill(int(process), signal.SIGKILL)
        raise


def _fill(file: IO[bytes], text: str) -> None:
    file.write(text.encode())
    file.seek(0)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n").replace("\r", "\n")
