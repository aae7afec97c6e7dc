"""The line that tells what an execution is doing."""

from __future__ import annotations

from typing import Any

import msgspec

from flunq.cli.watching import Board
from flunq.core.events import LazyEvent

NOW = 1_800_000_000


def take(board: Board, word: str, /, *, at: str = "10:00:00", **data: Any) -> str | None:
    members = {"task": f"/do/0/{data.pop('name', 'pause')}", "startedAt": "2026-11-20T10:00:00Z"}
    event = LazyEvent(
        id="1",
        source="/x",
        type=f"io.serverlessworkflow.task.{word}.v1",
        time=f"2026-11-20T{at}Z",
        data=msgspec.Raw(msgspec.json.encode({**members, **data})),
    )
    return board.take(event)


def test_the_innermost_open_tasks_are_named() -> None:
    board = Board(live=True)
    take(board, "started", step=2, name="outer")
    take(board, "started", step=4, parent=2, name="left")
    take(board, "started", step=6, parent=2, name="right")
    assert board.message() == "left, right"
    take(board, "completed", step=4)
    assert board.message() == "right"


def test_many_are_counted() -> None:
    board = Board(live=True)
    for step in range(5):
        take(board, "started", step=step + 10, name=f"t{step}")
    assert board.message() == "t0, t1, t2 and 2 more"


def test_a_wait_counts_down_on_a_terminal_and_names_its_end_elsewhere() -> None:
    for live, expected in ((True, "left"), (False, "pause until ")):
        board = Board(live=live)
        take(board, "started", step=2, due=NOW * 1_000_000)
        assert expected in board.message()


def test_a_moment_of_another_day_is_told_with_its_day() -> None:
    board = Board(live=False)
    take(board, "started", step=2, due=4_000_000_000 * 1_000_000)
    assert board.message().startswith("pause until 2096-10-0")


def test_a_retry_is_announced() -> None:
    board = Board(live=True)
    take(board, "started", step=2, name="call")
    take(board, "retried", step=2, name="call", due=NOW * 1_000_000)
    assert board.message().startswith("call will be retried")


def test_the_end_of_a_task_is_a_line_with_its_duration() -> None:
    board = Board(live=True)
    take(board, "started", step=2)
    line = take(board, "completed", step=2, at="10:00:02.500")
    assert line is not None
    assert line.split() == ["completed", "pause", "2.5s"]
    assert board.message() == ""


def test_a_call_that_takes_long_is_looked_into_once() -> None:
    board = Board(live=True)
    take(board, "started", step=2)
    assert not board.is_stuck_on_calls()
    take(board, "started", step=4, kind="call", startedAt="2020-01-01T00:00:00Z")
    assert board.is_stuck_on_calls()
    assert not board.is_stuck_on_calls()
