"""What SQL says of an execution is what the fold of its events says, wherever the events lie."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flunq.core.execution.fold import fold
from tests.support.driver import EPOCH
from tests.support.sql import BROKEN, BUSY, FLAKY, Histories, ask

if TYPE_CHECKING:
    from flunq.core.events import CloudEvent
    from flunq.core.execution.state import State

LOOP = """
do:
  - each:
      for: {each: i, in: "${ [1, 2] }"}
      do:
        - both: {fork: {branches: [{a: {set: {n: "${ $i }"}}}, {b: {wait: {seconds: 1}}}]}}
  - call: {call: pay, with: {amount: 1}}
"""
OUTCOMES = st.lists(st.sampled_from([BUSY, BROKEN, {"ok": True}]), max_size=6)
RUNS = st.lists(
    st.tuples(st.sampled_from([FLAKY, LOOP]), OUTCOMES, st.booleans(), st.integers(0, 9)),
    min_size=1,
    max_size=5,
)
LIVING = ("running", "waiting", "pending")


@settings(max_examples=12)
@given(runs=RUNS, share=st.floats(0, 1), overlap=st.integers(0, 8), files=st.integers(1, 3))
def test_sql_over_any_split_equals_the_fold(
    runs: list[Any], share: float, overlap: int, files: int
) -> None:
    histories = Histories()
    for number, (text, outcomes, finish, amount) in enumerate(runs):
        at = EPOCH + number
        more: dict[str, Any] = {"outcomes": outcomes, "finish": finish, "at": at}
        histories.run(f"x{number}", text, input={"amount": amount}, **more)
    asyncio.run(_compare(histories, int(len(histories.commits) * share), overlap, files))


async def _compare(histories: Histories, lake: int, overlap: int, files: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = histories.sources(Path(folder), lake=lake, overlap=overlap, files=files)
        events, executions, tasks = await asyncio.gather(
            ask(sources, "from events order by execution_id, seq"),
            ask(sources, "from executions order by id"),
            ask(sources, "from tasks where status <> 'skipped' order by execution_id, step"),
        )
    recorded = [each for name in sorted(histories.events) for each in histories.events[name]]
    assert [(row["execution_id"], row["seq"], row["data"]) for row in events] == [
        (event.subject, event.seq, event.data) for event in recorded
    ]
    assert [row["id"] for row in executions] == sorted(histories.events)
    for row in executions:
        _compare_execution(row, histories.events[row["id"]])
        own = [task for task in tasks if task["execution_id"] == row["id"]]
        _compare_tasks(own, histories.events[row["id"]])


def _compare_execution(row: dict[str, Any], events: list[CloudEvent]) -> None:
    state = _folded(events)
    status = "running" if state.status in LIVING else state.status
    assert (row["status"], row["input"], row["output"]) == (status, state.input, state.output)
    failure = state.failure
    assert row["error_status"] == (failure.status if failure else None)
    assert row["error_type"] == (failure.type if failure else None)


def _compare_tasks(rows: list[dict[str, Any]], events: list[CloudEvent]) -> None:
    """Each task's raw input is that of its frame right after it was started."""
    state: State | None = None
    expected = {}
    for event in events:
        state = fold(state, event)
        if event.type.endswith("task.started.v1"):
            frame = state.frames[event.data["step"]]
            expected[event.data["step"]] = (frame.reference, frame.kind, frame.input, frame.attempt)
    found = {row["step"]: (row["task"], row["kind"], row["input"], row["attempt"]) for row in rows}
    assert found == expected


def _folded(events: list[CloudEvent]) -> State:
    state: State | None = None
    for event in events:
        state = fold(state, event)
    assert state is not None
    return state
