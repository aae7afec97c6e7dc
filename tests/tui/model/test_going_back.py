"""Executions that were retried or rewound, as they are after any of their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq_tui.model.execution import ROOT, Execution
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


def test_values_and_error_are_those_of_the_state_it_goes_on_from() -> None:
    execution = failed()
    before = execution.last
    state = {"suspended": False, "input": {"id": "o-2"}, "context": {"paid": 1}}
    execution.extend([back(execution, "retried", 3, state=state)])
    assert execution.input(ROOT, before) == {"id": "o-1", "lines": ["a", "b"]}
    assert execution.input(ROOT, before + 1) == {"id": "o-2"}
    assert execution.context(before + 1) == {"paid": 1}
    assert execution.error(ROOT, before) is not None
    assert execution.error(ROOT, before + 1) is None
    execution.extend([back(execution, "rewound", 1)])
    assert execution.context(before + 1) == {"paid": 1}
    assert execution.context(before + 2) is msgspec.UNSET


def test_the_context_of_a_fork_is_that_of_its_origin() -> None:
    execution = failed()
    state = {"suspended": False, "context": {"paid": 1}}
    execution.extend([back(execution, "forked", 3, state=state)])
    assert execution.context(execution.last) == {"paid": 1}


def test_the_output_of_an_earlier_end_stays_what_it_was() -> None:
    execution = Execution("x1")
    execution.extend(lazy(order().run().events))
    last = execution.last
    output = execution.output(ROOT, last)
    execution.extend([back(execution, "rewound", 3)])
    assert output is not msgspec.UNSET
    assert execution.output(ROOT, last) == output
    assert execution.output(ROOT, last + 1) is msgspec.UNSET


def test_a_task_that_was_only_created_at_the_point_is_not_there_twice() -> None:
    execution = failed()
    pay = next(step for step in execution.steps.values() if step.name == "pay")
    before = execution.last
    execution.extend([back(execution, "rewound", pay.created)])
    assert status_of(execution, "pay", before) == ["faulted"]
    assert status_of(execution, "pay", before + 1) == []


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
