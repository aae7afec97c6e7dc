"""Executions that were retried or rewound, as they are after any of their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq_tui.model.execution import Execution
from flunq_tui.model.restoring import failing_input, next_input
from flunq_tui.model.tree import rows
from tests.support.monitor import REFUSAL, lazy, order

if TYPE_CHECKING:
    from flunq.core.events import LazyEvent


def failed() -> Execution:
    execution = Execution("x1")
    execution.extend(lazy(order(charge=[REFUSAL]).run().events))
    return execution


def back(execution: Execution, kind: str, point: int, **data: Any) -> LazyEvent:
    """Return the event of going back to right after another one."""
    last = execution.events[-1]
    content = msgspec.json.encode({"point": point, "state": {"suspended": False}, **data})
    return msgspec.structs.replace(
        last, type=f"io.flunq.execution.{kind}", seq=last.seq + 1, data=msgspec.Raw(content)
    )


def status_of(execution: Execution, name: str, position: int) -> list[str]:
    found = rows(execution, position, frozenset())
    return [row.status for row in found if row.label == name]


def test_what_came_after_the_point_is_undone_and_what_ended_after_it_is_open_again() -> None:
    execution = failed()
    before = execution.last
    pay = next(step for step in execution.steps.values() if step.name == "pay")
    execution.extend([back(execution, "rewound", pay.started)])
    assert execution.status(before) == "faulted"
    assert execution.status(before + 1) != "faulted"
    assert status_of(execution, "pay", before) == ["faulted"]
    assert status_of(execution, "pay", before + 1) == ["running"]
    assert status_of(execution, "charge", before + 1) == []
    assert status_of(execution, "price", before + 1) == ["completed"]


def test_the_past_before_going_back_stays_as_it_was() -> None:
    execution = failed()
    last = execution.last
    shown = rows(execution, last, frozenset())
    execution.extend([back(execution, "retried", 3)])
    assert rows(execution, last, frozenset()) == shown


def test_one_that_was_suspended_stays_so() -> None:
    execution = failed()
    execution.extend([back(execution, "rewound", 3, state={"suspended": True})])
    assert execution.status(execution.last) == "suspended"


def test_the_input_that_failed_is_that_of_the_innermost_task() -> None:
    assert failing_input(failed()) == {"cents": 230}


def test_without_a_failed_task_it_is_the_input_of_the_execution() -> None:
    execution = Execution("x1")
    execution.extend(lazy(order().run().events))
    assert failing_input(execution) == {"id": "o-1", "lines": ["a", "b"]}


def test_the_next_input_is_that_of_the_task_that_begins_after_the_event() -> None:
    execution = failed()
    pay = next(step for step in execution.steps.values() if step.name == "pay")
    assert next_input(execution, pay.started - 1) == {"cents": 230}
    assert next_input(execution, None) == {"id": "o-1", "lines": ["a", "b"]}
    assert next_input(execution, execution.last) == {"id": "o-1", "lines": ["a", "b"]}
