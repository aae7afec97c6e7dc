from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.cli.cluster_view import LiveStatus, PlainStatus
from flunq.services.supervising.statefile import ServiceStatus
from tests.support.cluster_state import cluster_state

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """A terminal of a known size."""

    def resize(columns: int, lines: int) -> None:
        monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, lines)))

    resize(100, 30)
    return resize


NODE = ServiceStatus(name="node-1", pid=None, state="starting")


def test_the_block_says_what_is_promised_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    LiveStatus("1.0").show(cluster_state(NODE))
    shown = capsys.readouterr().err
    for part in ("strict: fsync before every acknowledgement", "http://127.0.0.1:1", "node-1"):
        assert part in shown


def test_the_next_block_is_drawn_over_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveStatus("1.0")
    view.show(cluster_state(NODE))
    drawn = capsys.readouterr().err.count("\n")
    view.show(cluster_state(msgspec.structs.replace(NODE, state="ready")))
    assert f"\x1b[{drawn}A" in capsys.readouterr().err


def test_a_resized_terminal_is_cleared_because_it_moved_what_was_drawn(
    capsys: pytest.CaptureFixture[str], terminal: Callable[[int, int], None]
) -> None:
    view = LiveStatus("1.0")
    view.show(cluster_state(NODE))
    terminal(60, 20)
    view.show(cluster_state(NODE))
    assert "\x1b[H\x1b[2J" in capsys.readouterr().err


def test_no_line_is_longer_than_the_terminal(
    capsys: pytest.CaptureFixture[str], terminal: Callable[[int, int], None]
) -> None:
    terminal(30, 8)
    LiveStatus("1.0").show(cluster_state(*[NODE] * 20))
    lines = capsys.readouterr().err.removesuffix("\x1b[J").rstrip("\n").split("\n")
    drawn = [line.replace("\x1b[?25l\r", "").replace("\x1b[K", "") for line in lines]
    assert max(map(len, drawn)) <= 30
    assert len(drawn) <= 8


def test_escape_sequences_in_a_reason_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = msgspec.structs.replace(NODE, state="backoff", reason="\x1b]0;owned\x07")
    LiveStatus("1.0").show(cluster_state(evil))
    PlainStatus().show(cluster_state(evil))
    assert "\x1b]0;" not in capsys.readouterr().err


def test_without_a_terminal_each_change_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainStatus()
    ready = msgspec.structs.replace(NODE, state="ready", pid=7)
    for state in (NODE, ready, ready, msgspec.structs.replace(NODE, state="backoff", reason="r")):
        view.show(cluster_state(state))
    assert capsys.readouterr().err.splitlines() == [
        "node-1 is ready (pid 7)",
        "node-1 ended: r; starting it again",
    ]
