"""The check finds what it is there to find: journals are broken on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.chaos.checking import check, count
from flunq.core import events as types
from flunq.core.events import CloudEvent
from flunq.core.execution.fold import TIMER_FIRED
from flunq.services.worker.recovery import Head
from flunq.testing.invariants import Archive, Stored, Story

NOON = "2026-01-01T12:00:00.000000Z"
NOON_MICROS = 1_767_268_800_000_000


def event(type_: str, **data: Any) -> Stored:
    """Return a stored event."""
    made = CloudEvent(
        id="1",
        source="t",
        type=type_,
        subject="x",
        time=NOON,
        tenant="default",
        workflow="t/x:1",
        partition=0,
        seq=1,
        data=data,
    )
    return Stored(made, 1)


def started(step: int, key: str, task: str = "/do/0/a") -> Stored:
    """Return the begin of a task that was dispatched."""
    return event(types.TASK_STARTED, step=step, task=task, kind="call", dispatch={"key": key})


def broken(*events: Stored, heads: list[Head] | None = None) -> list[str]:
    """Return which promises a journal with such events breaks."""
    archive = Archive([], {})
    archive.stories["x"] = Story("x", list(events))
    if heads:
        archive.heads[0] = [(None, head) for head in heads]  # type: ignore[misc]
    return [line.partition(":")[0] for line in check(archive, ["x"])]


def test_a_clean_journal_breaks_nothing() -> None:
    ended = event(types.TASK_COMPLETED, step=1)
    assert broken(started(1, "k"), ended) == []


def test_a_start_without_a_history_is_lost() -> None:
    assert [line.partition(":")[0] for line in check(Archive([], {}), ["gone"])] == ["lost"]


def test_a_step_that_ends_twice_is_doubled() -> None:
    ended = event(types.TASK_COMPLETED, step=1)
    assert broken(started(1, "k"), ended, ended) == ["doubled"]


@pytest.mark.parametrize(("due", "found"), [(NOON_MICROS + 1, ["early"]), (NOON_MICROS, [])])
def test_a_timer_before_its_time_is_early(due: int, found: list[str]) -> None:
    waits = event(types.TASK_STARTED, step=3, task="/do/0/w", kind="wait", due=due)
    assert broken(waits, event(TIMER_FIRED, step=3, timer="3w")) == found


def test_a_step_with_two_keys_and_a_key_of_two_steps_are_found() -> None:
    assert broken(started(1, "k"), started(2, "l")) == ["keys"]
    assert broken(started(1, "k"), started(2, "k", "/do/1/b")) == ["keys"]


def test_commits_of_two_writers_in_one_epoch_are_found() -> None:
    heads = [Head(number=n, epoch=1, node=node) for n, node in ((4, "a"), (5, "a"), (6, "b"))]
    assert broken(heads=heads) == ["doubled"]
    assert broken(heads=[heads[0], heads[1], heads[1]]) == ["doubled"]


def test_promises_are_counted_by_name() -> None:
    counts = count(["lost: a", "lost: b", "early: c"])
    assert (counts["lost"], counts["early"], counts["doubled"]) == (2, 1, 0)
