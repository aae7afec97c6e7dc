"""The lifecycle that every service process has, in real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

PRELUDE = """
import asyncio, sys
from flunq.errors import RejectedError
from flunq.log.ports import NotPermittedError, TransportLostError
from flunq.services.base import run_process
"""
WAITS = """
async def main(lifecycle):
    lifecycle.ready()
    await lifecycle.stop.wait()
    {last}
run_process(main, name="x", drain={drain})
"""


def start(code: str, **pipes: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        **{name: str(fd) for name, fd in pipes.items()},
    }
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        pass_fds=list(pipes.values()),
    )


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    while "x is ready" not in process.stderr.readline():
        assert process.poll() is None


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=20)
    return process.returncode, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_service_in_good_order(number: signal.Signals) -> None:
    process = start(WAITS.format(last="print('drained', file=sys.stderr)", drain=5))
    until_ready(process)
    process.send_signal(number)
    code, err = finish(process)
    assert code == 0
    assert "drained" in err


def test_a_second_signal_ends_it_at_once() -> None:
    process = start(WAITS.format(last="await asyncio.Event().wait()", drain=60))
    until_ready(process)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while "x stops" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 128 + signal.SIGTERM


def test_a_service_that_does_not_finish_is_cut_off() -> None:
    process = start(WAITS.format(last="await asyncio.Event().wait()", drain=0.2))
    until_ready(process)
    process.send_signal(signal.SIGTERM)
    code, err = finish(process)
    assert code == 1
    assert "did not finish in time" in err


def test_a_service_whose_interpreter_is_stuck_is_ended_by_the_kernel() -> None:
    process = start(WAITS.format(last="import threading; threading.Event().wait()", drain=0.1))
    until_ready(process)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == -signal.SIGALRM


def test_a_service_ends_when_its_parent_is_gone() -> None:
    lifeline, parent = os.pipe()
    process = start(WAITS.format(last="pass", drain=5), FLUNQ_LIFELINE_FD=lifeline)
    os.close(lifeline)
    until_ready(process)
    os.close(parent)
    code, err = finish(process)
    assert code == 0
    assert "the parent process is gone" in err


@pytest.mark.parametrize("lifeline_first", [True, False])
def test_an_orphan_drains_although_it_is_told_twice(lifeline_first: bool) -> None:
    lifeline, parent = os.pipe()
    drained = "await asyncio.sleep(0.3); print('drained', file=sys.stderr)"
    process = start(WAITS.format(last=drained, drain=5), FLUNQ_LIFELINE_FD=lifeline)
    os.close(lifeline)
    until_ready(process)
    if lifeline_first:
        os.close(parent)
    else:
        process.terminate()
    assert process.stderr is not None
    while "x stops" not in process.stderr.readline():
        assert process.poll() is None
    if lifeline_first:
        process.terminate()
    else:
        os.close(parent)
    code, err = finish(process)
    assert code == 0
    assert "drained" in err


async def test_readiness_is_told_through_the_pipe() -> None:
    reading, writing = os.pipe()
    process = start(WAITS.format(last="pass", drain=5), FLUNQ_READY_FD=writing)
    os.close(writing)
    assert await asyncio.to_thread(os.read, reading, 100) == b"ready\n"
    os.close(reading)
    process.terminate()
    assert finish(process)[0] == 0


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("raise RejectedError('bad functions', hint='fix them')", 3),
        ("raise TransportLostError('closed')", 75),
        ("raise ValueError('a defect')", 1),
        ("raise NotPermittedError('this user may not publish')", 2),
        ("return", 1),
    ],
)
def test_the_exit_code_says_why_a_service_ended(failure: str, code: int) -> None:
    process = start(f"async def main(lifecycle):\n    {failure}\nrun_process(main, name='x')")
    ended, err = finish(process)
    assert ended == code
    assert err.strip()
    assert all(json.loads(line) for line in err.splitlines())


def test_an_error_inside_a_task_group_counts_as_itself() -> None:
    code = """
async def fail():
    raise RejectedError("inner")
async def main(lifecycle):
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
run_process(main, name="x")
"""
    ended, err = finish(start(code))
    assert ended == 3
    assert "inner" in err
