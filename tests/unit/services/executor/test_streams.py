"""Standard streams: what a task's secret would be in is masked on its way to the log."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from flunq.services.executor.streams import MOST, GuardedStreams

if TYPE_CHECKING:
    import pytest


def test_a_known_text_does_not_reach_the_streams(capfd: pytest.CaptureFixture[str]) -> None:
    streams = GuardedStreams()
    streams.install()
    try:
        sys.stdout.write("before canary\n")
        streams.add("canary")
        sys.stdout.write("after canary\n")
        logging.StreamHandler(sys.stderr).emit(logging.makeLogRecord({"msg": "a canary"}))
    finally:
        streams.remove()
    sys.stdout.write("canary again\n")
    printed = capfd.readouterr()
    assert printed.out == "before canary\nafter ***\ncanary again\n"
    assert printed.err == "a ***\n"


def test_only_so_many_texts_are_remembered(capfd: pytest.CaptureFixture[str]) -> None:
    streams = GuardedStreams()
    for number in range(MOST + 1):
        streams.add(f"secret-{number:06}")
    streams.install()
    sys.stdout.write(f"secret-000000 secret-{MOST:06}\n")
    streams.remove()
    assert capfd.readouterr().out == "secret-000000 ***\n"
