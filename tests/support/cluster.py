"""A local cluster for end-to-end tests, started and stopped as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.cli import Flunq, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HELLO = """\
document: {dsl: 1.0.3, namespace: tests, name: hello, version: 1.0.0}
do:
  - greet:
      set:
        greeting: ${ "Hello, " + (.name // "world") }
"""
PAUSE = """\
document: {dsl: 1.0.3, namespace: tests, name: pause, version: 1.0.0}
do:
  - pause:
      wait: {minutes: 5}
"""
BOOM = """\
document: {dsl: 1.0.3, namespace: tests, name: boom, version: 1.0.0}
do:
  - fine:
      set: {ok: true}
  - broken:
      raise:
        error: {type: https://example.com/teapot, status: 418, title: Teapot, detail: short}
"""
FUNCTIONS = """\
import flunq


@flunq.function("double")
async def double(n: int) -> int:
    return 2 * n
"""
DOUBLE = """\
document: {dsl: 1.0.3, namespace: tests, name: double, version: 1.0.0}
do:
  - twice:
      call: double
      with: {n: "${ .n }"}
"""


@contextmanager
def running_cluster(home: Path, *options: str, functions: str = FUNCTIONS) -> Iterator[Flunq]:
    """Start a cluster; yields the command line that talks to it."""
    flunq = Flunq(home)
    (home / "steps.py").write_text(functions)
    started = flunq("up", "--detach", "--functions", "steps.py", "-q", *options)
    try:
        assert started.code == 0, started.err
        yield flunq
    finally:
        flunq("down")


def interrupted(flunq: Flunq, *arguments: str, after: str) -> Outcome:
    """Run a command and press Ctrl-C once its output contains a text."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "flunq", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd=flunq.home,
        env=flunq.environment(),
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        seen = ""
        while after not in seen:
            line = process.stdout.readline()
            assert line, f"it ended before {after!r}: {seen}"
            seen += line
        os.kill(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        return Outcome(process.returncode, seen + rest, "")
