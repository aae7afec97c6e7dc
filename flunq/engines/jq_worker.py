"""Runs libjq: evaluates programs that reach nothing but their input.

Started as a script this is the child process of the pool: it locks itself in and answers
frames from its standard input until that closes. Only the standard library and ``jq`` are
imported, because the child runs without the rest of flunq.

A program becomes the body of an envelope: the input is one array of the real input and the
variables, so that one compiled program serves every evaluation. Definitions in front
shadow the functions that reach outside.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import time
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

_PRELUDE = " ".join(
    """
def _refused(name): error(name + " is not available in a workflow");
def env: _refused("env"); def input: _refused("input"); def inputs: _refused("inputs");
def halt: _refused("halt"); def halt_error: _refused("halt_error");
def halt_error($code): _refused("halt_error");
def input_filename: _refused("input_filename");
def input_line_number: _refused("input_line_number");
def get_search_list: _refused("get_search_list");
def get_jq_origin: _refused("get_jq_origin"); def get_prog_origin: _refused("get_prog_origin");
def modulemeta: _refused("modulemeta"); def stderr: .; def debug: .; def debug(messages): .;
def toarray: if type == "array" then . else [.] end;
def ascii: [.] | implode;
def date: todate; def dateadd(unit; $n): . + $n; def datesub(unit; $n): . - $n;
""".split()
)
REQUEST = struct.Struct("!III")
"""Lengths of the program, the variable names (JSON) and the input (JSON)."""
REPLY = struct.Struct("!cI")
"""What follows and its length."""
VALUE, ERROR = b"v", b"e"
LAST_VALUE, LAST_ERROR = b"V", b"E"
"""The same, and the process ends after it."""
MAX_RESULT = 64 << 20
_KEPT_PROGRAMS = 256
_RETIRE_ABOVE_KIB = 256 << 10
_MAX_DESCRIPTORS = 3
_PR_SET_PDEATHSIG = 1


def envelope(program: str, names: tuple[str, ...]) -> str:
    """Return the program with its variables bound and everything outside shadowed.

    Nothing precedes the program on lines of its own, so that ``$__loc__`` stays right; the
    newline behind it ends a comment.
    """
    bound = "".join(f", ${name}" for name in names)
    return f"{_PRELUDE} . as [$__input{bound}] | {{}} as $ENV | $__input | ({program}\n)"


@lru_cache(maxsize=_KEPT_PROGRAMS)
def _compiled(program: str, names: tuple[str, ...]) -> Any:
    jq: Any = import_module("jq")  # a C extension that trusted processes never load
    # compiled alone first: in the envelope a stray parenthesis could close the guard
    jq.compile(f"{_PRELUDE} {{}} as $ENV | {program}", args=dict.fromkeys(names))
    return jq.compile(envelope(program, names))


def evaluate(program: str, names: tuple[str, ...], data: str) -> Any:
    """Return the first result, None for none; raise ValueError when it fails."""
    return next(iter(_compiled(program, names).input_text(data)), None)


def failure(error: Exception) -> str:
    """Return the message of a failed evaluation, without the decoration of a compile error."""
    lines = str(error).splitlines() or [type(error).__name__]
    if lines[-1].startswith("jq: ") and "compile error" in lines[-1]:
        return lines[0].removeprefix("jq: error: ")
    return "\n".join(lines)


def _answer(program: bytes, names: bytes, data: bytes) -> tuple[bytes, bytes]:
    try:
        value = evaluate(program.decode(), tuple(json.loads(names)), data.decode())
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        encoded = body.encode()
    except MemoryError:
        return ERROR, b"the expression ran out of memory"
    except Exception as error:  # noqa: BLE001 - whatever libjq raises is the answer
        return ERROR, failure(error).encode("utf-8", "replace")
    if len(encoded) > MAX_RESULT:
        return ERROR, b"the result of the expression is too large"
    return VALUE, encoded


def _limit(kind: int, amount: int) -> None:
    resource.setrlimit(kind, (amount, amount))


def _lock_in(memory: int, parent: int) -> None:
    """Give up everything that an expression must not reach."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the kernel was told
        sys.exit(0)
    os.environ.clear()
    os.environ["TZ"] = "UTC0"  # the machine's time zone must not change a result
    time.tzset()
    import_module("jq")
    for kind, amount in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
    ):
        _limit(kind, amount)


def _allow_cpu(seconds: int) -> None:
    """Let this evaluation use some processor time, whatever was used before."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds + 1, resource.RLIM_INFINITY))


def _memory_gauge() -> Callable[[], int]:
    """Return what tells the resident memory in KiB; open before files are out of reach.

    The peak that the kernel accounts is of no use: a child inherits it from its parent.
    """
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:  # not Linux
        return lambda: 0
    page_kib = resource.getpagesize() // 1024
    return lambda: int(os.pread(statm, 128, 0).split()[1]) * page_kib


def _serve(
    requests: BinaryIO, replies: BinaryIO, cpu_seconds: int, resident_kib: Callable[[], int]
) -> None:
    while header := requests.read(REQUEST.size):
        program, names, data = (requests.read(size) for size in REQUEST.unpack(header))
        _allow_cpu(cpu_seconds)
        kind, body = _answer(program, names, data)
        retires = resident_kib() > _RETIRE_ABOVE_KIB
        replies.write(REPLY.pack(kind.upper() if retires else kind, len(body)))
        replies.write(body)
        replies.flush()
        if retires:
            return


def main() -> None:
    """Run the child process: memory limit, processor seconds and parent are arguments."""
    memory, cpu_seconds, parent = (int(argument) for argument in sys.argv[1:4])
    resident_kib = _memory_gauge()
    _lock_in(memory, parent)
    _serve(sys.stdin.buffer, sys.stdout.buffer, cpu_seconds, resident_kib)


if __name__ == "__main__":
    main()
