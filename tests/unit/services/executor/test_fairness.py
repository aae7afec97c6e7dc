"""Who is next when tasks wait for slots."""

from __future__ import annotations

from collections import Counter

from flunq.core.execution.effects import Dispatch
from flunq.core.traffic import DEFAULT_PRIORITY, Traffic
from flunq.services.executor.fairness import FairQueue


def task(workflow: str, number: int, priority: int = DEFAULT_PRIORITY) -> Dispatch:
    return Dispatch(
        execution="e", task=f"{workflow}{number}", kind="k", reference="/do/0/x", key="k",
        attempt=1, arguments=None, workflow=workflow, traffic=Traffic(priority=priority),
    )  # fmt: skip


def test_ten_thousand_tasks_of_one_workflow_delay_another_by_one_slot() -> None:
    queue = FairQueue()
    for number in range(10_000):
        queue.push(task("many", number))
    for _ in range(100):
        queue.pop()
    queue.push(task("one", 0))
    assert "one0" in [queue.pop().task for _ in range(2)]
    assert len(queue) == 9_899


def test_the_tasks_of_one_workflow_keep_their_order() -> None:
    queue = FairQueue()
    for number in range(5):
        queue.push(task("a", number))
    assert [queue.pop().task for _ in range(5)] == ["a0", "a1", "a2", "a3", "a4"]
    assert queue.first() is None


def test_each_priority_has_twice_the_turns_of_the_one_below_and_none_is_left_out() -> None:
    queue = FairQueue()
    for number in range(100):
        for priority in (4, 5, 6):
            queue.push(task(f"p{priority}-", number, priority))
    turns = Counter(queue.pop().workflow for _ in range(70))
    assert [turns[f"p{priority}-"] for priority in (4, 5, 6)] == [10, 20, 40]


def test_the_first_is_the_one_that_is_taken() -> None:
    queue = FairQueue()
    for number, workflow in enumerate("abacab"):
        queue.push(task(workflow, number))
    while (first := queue.first()) is not None:
        assert queue.pop() is first
