"""``run: workflow``: executions that other executions start and wait for."""

from __future__ import annotations

import msgspec

from flunq.core.execution.commands import Cancel, Failure, Report, Start
from tests.support.driver import BASE, Driver

PARENT = """
do:
  - ask:
      run:
        workflow: {namespace: shop, name: '${ .which }', version: latest, input: {n: '${ .n }'}}
  - after: {set: {got: '${ . }'}}
"""


def waiting(text: str = PARENT) -> tuple[Driver, Start]:
    driver = Driver(text, {"which": "child", "n": 4}).begin()
    [start] = driver.told
    assert isinstance(start, Start)
    return driver, start


def test_a_child_is_started_with_its_own_input_and_the_tasks_id() -> None:
    driver, start = waiting()
    assert (str(start.workflow), start.input) == ("shop/child:", {"n": 4})
    assert start.parent == "x1"
    assert {start.id, start.parent_task} == set(driver.live.tasks)


def test_a_child_without_an_input_gets_the_tasks_input() -> None:
    text = PARENT.replace(", input: {n: '${ .n }'}", "").replace(
        "run:", "input: {from: .n}\n      run:"
    )
    _, start = waiting(text.replace("${ .which }", "child"))
    assert start.input == 4


def test_the_output_of_the_child_is_the_output_of_the_task() -> None:
    driver, start = waiting()
    driver.report(start.id, {"total": 8})
    assert driver.output == {"got": {"total": 8}}


def test_the_error_of_the_child_is_the_error_of_the_task() -> None:
    driver, start = waiting()
    driver.report(start.id, Failure(type=f"{BASE}communication", status=503, detail="down"))
    assert (driver.failure.type, driver.failure.status) == (f"{BASE}communication", 503)
    assert driver.failure.instance == "/do/0/ask"


def test_a_parent_that_is_cancelled_cancels_its_child() -> None:
    driver, start = waiting()
    driver.send(Cancel(id="x1"))
    assert isinstance(driver.told[-1], Cancel)
    assert driver.told[-1].id == start.id
    assert driver.live.status == "cancelled"


def test_a_child_that_takes_too_long_is_cancelled() -> None:
    timeout = "  - ask:\n      timeout: {after: {seconds: 5}}\n"
    driver, _ = waiting(PARENT.replace("  - ask:\n", timeout, 1))
    driver.fire()
    assert [type(command) for command in driver.told] == [Start, Cancel]
    assert driver.failure.status == 408


def test_nobody_waits_for_a_child_that_is_not_awaited() -> None:
    text = PARENT.replace("      run:\n", "      run:\n        await: false\n", 1)
    driver = Driver(text, {"which": "child", "n": 4}).begin()
    [start] = driver.told
    assert isinstance(start, Start)
    assert (start.parent, start.parent_task) == ("x1", "")
    assert driver.output == {"got": {"which": "child", "n": 4}}


def test_a_retry_starts_another_child() -> None:
    text = """
do:
  - again:
      try:
        - ask: {run: {workflow: {namespace: shop, name: child, version: 1.0.0}}}
      catch: {retry: {limit: {attempt: {count: 1}}}}
"""
    driver, first = waiting(text)
    driver.report(first.id, Failure(type=f"{BASE}runtime", status=500))
    second = driver.told[-1]
    assert isinstance(second, Start)
    assert second.id != first.id


def test_the_name_of_a_child_has_to_be_text() -> None:
    driver = Driver(PARENT, {"which": 7, "n": 4}).begin()
    assert (driver.failure.type, driver.told) == (f"{BASE}validation", [])


def child_of(parent: str, text: str, input: object = None) -> Driver:
    driver = Driver(text, input)
    driver.start = msgspec.structs.replace(driver.start, parent=parent, parent_task="p1.t.1")
    return driver.begin()


def test_a_child_reports_its_output_to_its_parent() -> None:
    driver = child_of("p1", "do:\n  - a: {set: {x: 1}}")
    assert driver.told == [Report(id="p1", task="p1.t.1", output={"x": 1})]


def test_a_child_reports_where_it_failed() -> None:
    text = "do:\n  - a: {raise: {error: {type: 'https://e.org/no', status: 409, detail: nope}}}"
    [report] = child_of("p1", text).told
    assert isinstance(report, Report)
    assert report.failure is not None
    assert (report.failure.type, report.failure.status) == ("https://e.org/no", 409)
    assert report.failure.detail == "nope (execution x1 at /do/0/a)"
    assert report.failure.instance is None


def test_a_child_that_is_cancelled_is_an_error_of_its_parent() -> None:
    driver = child_of("p1", "do:\n  - a: {wait: {hours: 1}}")
    driver.send(Cancel(id="x1"))
    [report] = driver.told
    assert isinstance(report, Report)
    assert report.failure is not None
    assert report.failure.detail == "execution x1 was cancelled"
