"""The exit codes of every command, in one place."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees; ``flunq help exit-codes`` prints this table."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REJECTED = 3
    NOT_FOUND = 4
    TIMED_OUT = 5
    UNAVAILABLE = 6
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "the execution faulted or was cancelled, or flunq failed",
    ExitCode.USAGE: "wrong usage: unknown command, flag or setting",
    ExitCode.REJECTED: "a document or an input was rejected",
    ExitCode.NOT_FOUND: "not found",
    ExitCode.TIMED_OUT: "timed out waiting",
    ExitCode.UNAVAILABLE: "the cluster cannot be reached",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}
