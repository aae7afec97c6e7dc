"""What processes take, as the system tells it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

import pytest

from flunq.bench.processes import CLIENT, memory_of, memory_together, read_usage

WAITS = "print('ready', flush=True); input()"


@pytest.mark.linux
def test_what_processes_share_counts_once() -> None:
    with ExitStack() as stack:
        pids = {}
        for name in ("one", "other"):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            pids[name] = process.pid
        resident = memory_of(read_usage(pids))
        del resident[CLIENT]
        assert 0 < memory_together(pids.values()) < sum(resident.values())
    assert memory_together(pids.values()) == 0
