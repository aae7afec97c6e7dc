"""Expressions that need the engine: the transition waits without a trace, others go on."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Cancel, Continue, Resume, Suspend
from tests.support.driver import Driver

PLACES = {
    "if": "do: [{a: {if: 'HARD', set: 1}}]",
    "input.from": "do: [{a: {input: {from: 'HARD'}, set: '${ . }'}}]",
    "set": "do: [{a: {set: {v: '${ HARD }'}}}]",
    "output.as": "do: [{a: {call: f, output: {as: 'HARD'}}}]",
    "export.as": "do: [{a: {call: f, export: {as: 'HARD'}}}]",
    "with": "do: [{a: {call: f, with: {v: '${ HARD }'}}}]",
    "switch": "do: [{a: {switch: [{c: {when: 'HARD', then: end}}]}}, {b: {set: 1}}]",
    "for": "do: [{a: {for: {in: '[HARD]'}, do: [{b: {set: 1}}]}}]",
    "while": "do: [{a: {for: {in: '[1,2]'}, while: 'HARD', do: [{b: {set: '${ . }'}}]}}]",
    "catch.when": "do: [{a: {try: [{b: {raise: {error: {type: t, status: 1}}}}], "
    "catch: {when: '.type | HARD'}}}]",
    "wait": "do: [{a: {wait: '${ HARD | \"PT1S\" }'}}]",
    "workflow input": "{input: {from: 'HARD'}, do: [{a: {set: '${ . }'}}]}",
    "workflow output": "{output: {as: 'HARD'}, do: [{a: {set: '${ . }'}}]}",
    "workflow timeout": "{timeout: {after: '${ HARD | \"PT1S\" }'}, do: [{a: {set: 1}}]}",
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_waits_for_its_answer(place: str) -> None:
    text = PLACES[place].replace("HARD", "@sh")
    driver = Driver(text, "abc", {"f": "abc"}).run()
    assert driver.live.status == "completed"
    assert driver.answers


def test_a_transition_that_waits_leaves_no_trace() -> None:
    driver = Driver("do: [{a: {set: '${ @sh }'}}]", "abc")
    decision = driver._decide(driver.start)
    assert decision.need is not None
    assert driver.types() == ["workflow.started"]
    assert [type(item).__name__ for item in driver.live.ready] == ["Enter"]
    assert driver._decide(Continue(id="x1")).events == []


def test_a_report_is_recorded_while_its_transformation_waits() -> None:
    driver = Driver("do: [{a: {call: f, output: {as: '@sh'}}}]").begin()
    driver.queue.clear()
    task = driver.dispatched[0].task
    driver.report(task, "abc")
    assert driver.output == "'abc'"
    assert "task.reported /do/0/a" in driver.types()


def test_other_branches_go_on_meanwhile() -> None:
    text = "do: [{f: {fork: {branches: [{a: {do: [{x: {set: '${ @sh }'}}]}}, {b: {call: g}}]}}}]"
    driver = Driver(text, "abc")
    decision = driver._decide(driver.start)
    assert decision.need is not None
    assert [task.kind for task in driver.dispatched] == ["function:g"]
    driver.send(Continue(id="x1"))
    driver.report(driver.queue[0].task, 2)
    assert driver.output == ["'abc'", 2]


def test_an_answer_that_is_an_error_is_an_expression_error() -> None:
    failure = Driver("do: [{a: {set: '${ @sh | error }'}}]", "!").run().failure
    assert failure.type.endswith("/expression")


@pytest.mark.parametrize("command", [Cancel(id="x1"), Suspend(id="x1")])
def test_a_waiting_execution_obeys(command: Any) -> None:
    driver = Driver("do: [{a: {set: '${ @sh }'}}]", "abc")
    driver._decide(driver.start)
    driver._decide(command)
    if isinstance(command, Cancel):
        assert driver.live.status == "cancelled"
    else:
        assert driver.live.status == "suspended"
        driver.send(Resume(id="x1"))
        assert driver.output == "'abc'"


def test_the_question_stays_the_same_while_time_passes() -> None:
    text = "do: [{a: {set: '${ [$task.startedAt, $workflow.startedAt] | tojson | @sh }'}}]"
    driver = Driver(text)
    first = driver._decide(driver.start).need
    driver.now += 5_000_000
    second = driver._decide(Continue(id="x1")).need
    assert first == second
