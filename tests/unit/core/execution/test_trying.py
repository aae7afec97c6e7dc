"""``try``: catching, retrying, handling; and ``raise``."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from flunq.core.duration import SECOND
from flunq.core.execution.commands import Resume, Suspend
from tests.support.driver import BASE, Driver, error, run

CALL = """
do:
- t:
    try: [{c: {call: f}}]
    catch: CATCH
- after: {set: '${ [., "after"] }'}
"""


def attempt(catch: str, results: Any, input: Any = "in") -> Driver:
    return run(CALL.replace("CATCH", catch), input, {"f": results})


UNAVAILABLE = error("communication", 503, title="Unavailable", detail="try later")


def test_no_error_no_catch() -> None:
    assert attempt("{do: [{h: {set: handled}}]}", "fine").output == ["fine", "after"]


def test_a_caught_error_without_a_handler_gives_the_input() -> None:
    driver = attempt("{}", UNAVAILABLE)
    assert driver.output == ["in", "after"]
    assert "task.caught /do/0/t" in driver.types()


def test_the_handler_sees_the_error_and_gets_the_input() -> None:
    handler = "{as: err, do: [{h: {set: '${ [., $err] }'}}]}"
    value, caught = attempt(handler, UNAVAILABLE).output[0]
    assert value == "in"
    assert caught == {
        "type": BASE + "communication",
        "status": 503,
        "title": "Unavailable",
        "detail": "try later",
        "instance": "/do/0/t/try/0/c",
    }


def test_the_error_is_called_error_by_default() -> None:
    assert attempt("{do: [{h: {set: '${ $error.status }'}}]}", UNAVAILABLE).output[0] == 503


@pytest.mark.parametrize(
    ("catch", "caught"),
    [
        ("{errors: {with: {status: 503}}}", True),
        ("{errors: {with: {status: 500}}}", False),
        (f"{{errors: {{with: {{type: {BASE}communication, status: 503}}}}}}", True),
        (f"{{errors: {{with: {{type: {BASE}timeout, status: 503}}}}}}", False),
        ("{errors: {with: {instance: /do/0/t/try/0/c}}}", True),
        ("{errors: {with: {title: Unavailable}}}", True),
        ("{errors: {with: {details: try later}}}", True),
        ("{errors: {with: {detail: try later}}}", True),
        ("{errors: {with: {detail: other}}}", False),
        ("{when: .status == 503}", True),
        ("{when: $error.status == 500}", False),
        ("{as: e, when: $e.status == 503}", True),
        ("{exceptWhen: .status == 503}", False),
        ("{exceptWhen: $error.status == 500}", True),
        ("{when: .status == 503, exceptWhen: '.title == \"Unavailable\"'}", False),
        ("{errors: {with: {status: 503}}, when: 'false'}", False),
    ],
)
def test_filters_and_conditions_choose_the_errors(catch: str, caught: bool) -> None:
    driver = attempt(catch, UNAVAILABLE)
    assert driver.live.status == ("completed" if caught else "faulted")
    if not caught:
        assert driver.failure.instance == "/do/0/t/try/0/c"


def test_a_failing_condition_is_the_error_of_the_try() -> None:
    failure = attempt("{when: .status.x}", UNAVAILABLE).failure
    assert (failure.type, failure.instance) == (BASE + "expression", "/do/0/t")


def test_an_error_of_the_handler_is_new_and_not_caught_by_the_same_catch() -> None:
    handler = "{do: [{h: {raise: {error: {type: 'my:error', status: 418}}}}]}"
    failure = attempt(handler, UNAVAILABLE).failure
    assert (failure.status, failure.instance) == (418, "/do/0/t/catch/do/0/h")


def test_an_uncaught_error_reaches_the_enclosing_try() -> None:
    text = """
do:
- outer:
    try:
    - inner: {try: [{c: {call: f}}], catch: {errors: {with: {status: 404}}}}
    catch: {do: [{h: {set: '${ $error.instance }'}}]}
"""
    assert run(text, None, {"f": UNAVAILABLE}).output == "/do/0/outer/try/0/inner/try/0/c"


def test_an_error_passes_through_composites_on_its_way_up() -> None:
    text = """
do:
- t:
    try: [{d: {do: [{l: {for: {in: '[1,2]'}, do: [{c: {call: f}}]}}]}}]
    catch: {}
"""
    driver = run(text, "in", {"f": UNAVAILABLE})
    assert driver.output == "in"
    faulted = [brief.split()[1] for brief in driver.types() if "task.faulted" in brief]
    assert faulted == [
        "/do/0/t/try/0/d/do/0/l/do/0/c",
        "/do/0/t/try/0/d/do/0/l",
        "/do/0/t/try/0/d",
    ]


RETRY = "{retry: {delay: {seconds: 3}, BACKOFF limit: {attempt: {count: 3}}}}"


@pytest.mark.parametrize(
    ("backoff", "gaps"),
    [
        ("", [3, 3, 3]),
        ("backoff: {constant: {}},", [3, 3, 3]),
        ("backoff: {linear: {}},", [3, 6, 9]),
        ("backoff: {exponential: {}},", [3, 6, 12]),
    ],
)
def test_retries_wait_as_the_backoff_says(backoff: str, gaps: list[int]) -> None:
    moments: list[int] = []
    driver = Driver(CALL.replace("CATCH", RETRY.replace("BACKOFF", backoff))).begin()
    while not driver.done:
        if driver.queue:
            moments.append(driver.now)
            driver.report(driver.queue.pop().task, UNAVAILABLE)
        else:
            driver.fire()
    assert [(b - a) // SECOND for a, b in itertools.pairwise(moments)] == gaps


def test_the_count_is_retries_after_the_first_try() -> None:
    driver = attempt(RETRY.replace("BACKOFF", ""), UNAVAILABLE)
    assert driver.failure.status == 503
    assert [task.attempt for task in driver.dispatched] == [1, 2, 3, 4]
    assert len({task.key for task in driver.dispatched}) == 1
    assert len({task.task for task in driver.dispatched}) == 4


def test_a_retry_redoes_the_whole_list() -> None:
    text = CALL.replace("try: [", "try: [{b: {call: g}}, ").replace(
        "CATCH", "{retry: {limit: {attempt: {count: 2}}}}"
    )
    driver = run(text, "in", {"g": 1, "f": [UNAVAILABLE, "fine"]})
    assert driver.output == ["fine", "after"]
    assert [task.kind for task in driver.dispatched] == ["function:g", "function:f"] * 2


def test_a_retry_is_recorded_with_its_reason_and_time() -> None:
    driver = attempt(RETRY.replace("BACKOFF", ""), [UNAVAILABLE, "fine"])
    (retried,) = (e.data for e in driver.events if e.type.endswith("retried.v1"))
    assert retried["error"]["status"] == 503
    assert (retried["attempt"], retried["task"]) == (2, "/do/0/t")
    assert retried["due"] == 1_700_000_003_000_000


def test_the_handler_runs_when_no_retry_is_left() -> None:
    catch = "{retry: {limit: {attempt: {count: 1}}}, do: [{h: {set: handled}}]}"
    driver = attempt(catch, UNAVAILABLE)
    assert driver.output == ["handled", "after"]
    assert len(driver.dispatched) == 2


def test_a_named_policy_is_used() -> None:
    text = "use: {retries: {twice: {limit: {attempt: {count: 2}}}}}" + CALL.replace(
        "CATCH", "{retry: twice}"
    )
    assert len(run(text, "in", {"f": UNAVAILABLE}).dispatched) == 3


def test_an_unknown_policy_is_a_configuration_error() -> None:
    failure = attempt("{retry: nowhere}", UNAVAILABLE).failure
    assert (failure.type, failure.instance) == (BASE + "configuration", "/do/0/t")


@pytest.mark.parametrize(
    ("rule", "tries"),
    [
        ("when: .status == 503", 3),
        ("when: $error.status == 500", 1),
        ("exceptWhen: .status == 503", 1),
        ("exceptWhen: .status == 500", 3),
    ],
)
def test_a_policy_has_conditions_of_its_own(rule: str, tries: int) -> None:
    catch = f"{{retry: {{{rule}, limit: {{attempt: {{count: 2}}}}}}}}"
    driver = attempt(catch, UNAVAILABLE)
    assert (driver.live.status, len(driver.dispatched)) == ("faulted", tries)


def test_the_total_duration_limits_the_retries() -> None:
    catch = "{retry: {delay: PT4S, limit: {duration: PT10S}}}"
    assert len(attempt(catch, UNAVAILABLE).dispatched) == 3


def test_a_policy_without_delay_and_limit_does_not_spin() -> None:
    results = [UNAVAILABLE, UNAVAILABLE, "fine"]
    driver = attempt("{retry: {}}", results)
    assert driver.output == ["fine", "after"]
    assert driver.now == 1_700_000_002_000_000


def test_one_try_may_take_only_so_long() -> None:
    catch = "{retry: {limit: {attempt: {count: 1, duration: PT5S}}}}"
    driver = Driver(CALL.replace("CATCH", catch)).begin()
    driver.fire()
    assert driver.withdrawn == [driver.dispatched[0].task]
    assert len(driver.dispatched) == 2
    driver.report(driver.dispatched[1].task, "fine")
    assert driver.output == ["fine", "after"]


def test_a_try_that_always_takes_too_long_times_out() -> None:
    catch = "{retry: {limit: {attempt: {count: 1, duration: PT5S}}}}"
    driver = Driver(CALL.replace("CATCH", catch)).begin()
    driver.fire()
    driver.fire()
    assert (driver.failure.type, driver.failure.status) == (BASE + "timeout", 408)
    assert driver.timers == {}


def test_jitter_is_added_to_the_delay() -> None:
    catch = "{retry: {delay: PT1S, jitter: {from: PT1S, to: PT2S}, limit: {attempt: {count: 1}}}}"
    driver = attempt(catch, [UNAVAILABLE, "fine"])
    assert 2 * SECOND <= driver.now - 1_700_000_000_000_000 <= 3 * SECOND


NESTED = """
do:
- outer:
    try:
    - inner:
        try: [{c: {call: f}}]
        catch: {retry: {limit: {attempt: {count: 1}}}}
    catch: {retry: {limit: {attempt: {count: 1}}}}
"""


def test_nested_retries_never_use_an_attempt_twice() -> None:
    driver = run(NESTED, None, {"f": UNAVAILABLE})
    assert [task.attempt for task in driver.dispatched] == [1, 2, 3, 4]
    assert len({task.key for task in driver.dispatched}) == 1


def test_a_report_on_an_earlier_attempt_changes_nothing() -> None:
    driver = Driver(CALL.replace("CATCH", RETRY.replace("BACKOFF", "")), "in").begin()
    old = driver.queue.pop().task
    driver.report(old, UNAVAILABLE)
    driver.fire()
    assert driver.report(old, "late").events == []
    driver.report(driver.queue.pop().task, "fine")
    assert driver.output == ["fine", "after"]


def test_a_raised_error_gets_the_instance_of_its_task() -> None:
    text = """
do: [{r: {raise: {error: {type: 'my:type', status: 400, title: Bad, instance: /elsewhere}}}}]
"""
    failure = run(text).failure
    assert (failure.type, failure.status, failure.title) == ("my:type", 400, "Bad")
    assert (failure.instance, failure.detail) == ("/do/0/r", None)


def test_a_raised_error_may_be_computed_and_come_by_name() -> None:
    text = r"""
use:
  errors:
    odd: {type: '${ .type }', status: 409, detail: '${ "got \(.n)" }'}
do: [{r: {raise: {error: odd}}}]
"""
    failure = run(text, {"type": "my:odd", "n": 3}).failure
    assert (failure.type, failure.status, failure.detail) == ("my:odd", 409, "got 3")


@pytest.mark.parametrize(
    ("definition", "kind"),
    [("nowhere", "configuration"), ("{type: '${ 3 }', status: 400}", "expression")],
)
def test_a_raise_that_cannot_be_made_fails_otherwise(definition: str, kind: str) -> None:
    failure = run(f"do: [{{r: {{raise: {{error: {definition}}}}}}}]").failure
    assert (failure.type, failure.instance) == (BASE + kind, "/do/0/r")


def test_a_try_that_fails_in_time_disarms_its_limit() -> None:
    catch = "{retry: {limit: {attempt: {count: 1, duration: PT5S}}}}"
    driver = attempt(catch, [UNAVAILABLE, "fine"])
    assert (driver.output, driver.timers) == (["fine", "after"], {})


def test_a_retry_and_its_limit_that_come_due_while_suspended_start_one_try() -> None:
    catch = "{retry: {delay: PT1S, limit: {attempt: {count: 2, duration: PT5S}}}}"
    driver = Driver(CALL.replace("CATCH", catch), "in").begin()
    driver.report(driver.queue.pop().task, UNAVAILABLE)
    driver.send(Suspend(id="x1"))
    driver.fire()
    driver.fire()
    driver.send(Resume(id="x1"))
    driver.fire()
    (task,) = driver.queue
    driver.report(task.task, "fine")
    assert driver.output == ["fine", "after"]


def test_a_task_whose_retries_are_used_up_leaves_one_letter() -> None:
    text = "do: [{t: {try: [{c: {call: f}}], catch: {retry: {limit: {attempt: {count: 1}}}}}}]"
    driver = Driver(text, 7).begin()
    for _ in range(2):
        driver.report(driver.queue.pop().task, error("communication", 503))
    [letter] = driver.buried
    assert (letter["subject"], letter["data"]["task"]) == (driver.live.id, "/do/0/t")
    assert letter["data"]["attempts"] == 2
    faulted = [e.data for e in driver.events if e.type.endswith("task.faulted.v1")]
    assert [data.get("attempts") for data in faulted] == [None, None, 2]


def test_an_error_that_is_not_retried_leaves_no_letter() -> None:
    text = "do: [{t: {try: [{c: {call: f}}], catch: {errors: {with: {status: 1}}}}}]"
    driver = Driver(text, 7).begin()
    driver.report(driver.queue.pop().task, error("communication", 503))
    assert driver.buried == []
