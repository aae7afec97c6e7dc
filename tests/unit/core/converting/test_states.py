"""States, transitions, errors and events, by running what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.execution.commands import Start
from tests.support.converting import FUNCTIONS, InTurn, begin, cleanly, convert, hear, run
from tests.support.driver import Driver, error

EVENTS = """
events:
- {name: paid, type: order.paid, source: there}
- {name: failed, type: order.failed, source: there}
- {name: whole, type: order.whole, source: there, dataOnly: false}
- {name: done, type: order.done, kind: produced}
"""


def test_the_first_state_may_stand_anywhere() -> None:
    text = """
start: b
states:
- {name: a, type: inject, data: {a: 1}, end: true}
- {name: b, type: inject, data: {b: 1}, transition: c}
- {name: c, type: inject, data: {c: 1}, transition: {nextState: a}}
"""
    document = cleanly(text)
    assert [next(iter(task)) for task in document["do"]] == ["b", "a", "c"]
    assert run(text).output == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(("age", "reached"), [(20, "adult"), (10, "minor"), (None, "unknown")])
def test_a_switch_goes_where_its_first_condition_leads(age: Any, reached: str) -> None:
    text = """
states:
- name: which
  type: switch
  stateDataFilter: {input: "${ {age: .person.age} }"}
  dataConditions:
  - {condition: "${ .age == null }", transition: unknown}
  - {name: grown up, condition: .age >= 18, transition: adult}
  defaultCondition: {transition: minor}
- {name: adult, type: inject, data: {is: adult}, end: true}
- {name: minor, type: inject, data: {is: minor}, end: true}
- {name: unknown, type: inject, data: {is: unknown}, end: true}
"""
    assert run(text, {"person": {"age": age}}).output == {"age": age, "is": reached}


def test_a_condition_may_end_the_workflow() -> None:
    text = """
states:
- name: which
  type: switch
  dataConditions: [{condition: .stop, end: true}]
  defaultCondition: {transition: go}
- {name: go, type: inject, data: {go: true}, end: true}
"""
    assert run(text, {"stop": True}).output == {"stop": True}
    assert run(text, {"stop": False}).output == {"stop": False, "go": True}


def test_a_loop_of_transitions_ends_when_its_condition_says_so() -> None:
    text = """
functions: [{name: grow, type: expression, operation: .n + 1}]
states:
- name: grow
  type: operation
  actions: [{functionRef: grow, actionDataFilter: {toStateData: .n}}]
  transition: enough
- name: enough
  type: switch
  dataConditions: [{condition: .n >= 5, end: true}]
  defaultCondition: {transition: grow}
"""
    assert run(text, {"n": 0}).output == {"n": 5}


def test_sleeping_takes_its_time() -> None:
    text = f"""
{FUNCTIONS}
states:
- {{name: nap, type: sleep, duration: PT2H, transition: s}}
- name: s
  type: operation
  end: true
  actions: [{{functionRef: charge, sleep: {{before: PT1M, after: PT2M}}}}]
"""
    driver = begin(text, {"a": 1}, charge={"b": 2})
    started = driver.now
    assert driver.run().output == {"a": 1, "b": 2}
    assert driver.now - started == (2 * 3600 + 180) * 1_000_000


def test_events_are_sent_when_a_state_is_left() -> None:
    text = f"""
{EVENTS}
states:
- name: a
  type: inject
  data: {{n: 1}}
  transition:
    nextState: b
    produceEvents: [{{eventRef: done, data: "${{ .n }}", contextAttributes: {{order: "7"}}}}]
- name: b
  type: inject
  data: {{n: 2}}
  end: {{terminate: true, produceEvents: [{{eventRef: done, data: {{n: "${{ .n }}"}}}}]}}
"""
    driver = run(text)
    assert driver.output == {"n": 2}
    assert [event["data"] for event in driver.published] == [1, {"n": 2}]
    first = driver.published[0]
    assert (first["type"], first["order"]) == ("order.done", "7")
    assert first["source"] == "/workflows/default/sample"


WAITING = """
- name: wait
  type: event
  onEvents: [{eventRefs: [paid], eventDataFilter: %s}]
  end: true
"""


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("{}", {"a": 1, "sum": 3, "by": "ada"}),
        ("{data: .sum, toStateData: .paid}", {"a": 1, "paid": 3}),
        ("{data: '${ {sum} }'}", {"a": 1, "sum": 3}),
        ("{useData: false}", {"a": 1}),
    ],
)
def test_data_of_an_event_is_merged(wanted: str, expected: Any) -> None:
    states = "states:\n- {name: i, type: inject, data: {a: 1}, transition: wait}"
    driver = begin(f"{EVENTS}{states}{WAITING % wanted}")
    hear(driver, "order.failed", {"no": 1})
    assert driver.live.status == "waiting"
    hear(driver, "order.paid", {"sum": 3, "by": "ada"})
    assert driver.output == expected


def test_a_whole_event_can_be_wanted() -> None:
    states = "states:\n- {name: i, type: inject, data: {a: 1}, transition: wait}"
    wanted = WAITING.replace("[paid]", "[whole]") % "{data: '{kind: .type, n: .data.n}'}"
    driver = begin(f"{EVENTS}{states}{wanted}")
    hear(driver, "order.whole", {"n": 3})
    assert driver.output == {"a": 1, "kind": "order.whole", "n": 3}


EITHER = f"""
{FUNCTIONS}{EVENTS}
states:
- {{name: i, type: inject, data: {{a: 1}}, transition: wait}}
- name: wait
  type: event
  timeouts: {{eventTimeout: PT1H}}
  onEvents:
  - {{eventRefs: [paid], actions: [{{functionRef: charge}}]}}
  - {{eventRefs: [failed, whole], actions: [{{functionRef: refund}}]}}
  transition: last
- {{name: last, type: inject, data: {{last: true}}, end: true}}
"""


@pytest.mark.parametrize(("kind", "called"), [("order.paid", "charge"), ("order.failed", "refund")])
def test_each_event_has_its_own_actions(kind: str, called: str) -> None:
    driver = begin(EITHER, charge={"by": "charge"}, refund={"by": "refund"})
    hear(driver, kind, {"n": 2})
    assert driver.output == {"a": 1, "n": 2, "by": called, "last": True}


def test_when_no_event_comes_the_actions_are_left_out() -> None:
    driver = begin(EITHER, charge={}, refund={})
    assert driver.run().output == {"a": 1, "last": True}
    assert driver.dispatched == []


def test_all_events_can_be_wanted() -> None:
    text = f"""
{FUNCTIONS}{EVENTS}
states:
- {{name: i, type: inject, data: {{a: 1}}, transition: wait}}
- name: wait
  type: event
  exclusive: false
  onEvents:
  - eventRefs: [paid]
    eventDataFilter: {{toStateData: .paid}}
    actions: [{{functionRef: charge}}]
  - {{eventRefs: [failed]}}
  end: true
"""
    driver = begin(text, charge={"c": 1})
    hear(driver, "order.failed", {"f": 1})
    assert driver.live.status == "waiting"
    hear(driver, "order.paid", {"n": 1})
    assert driver.output == {"a": 1, "paid": {"n": 1}, "f": 1, "c": 1}


SWITCH = f"""
{EVENTS}
states:
- {{name: i, type: inject, data: {{a: 1}}, transition: which}}
- name: which
  type: switch
  timeouts: {{eventTimeout: PT1H}}
  eventConditions:
  - {{eventRef: paid, transition: good}}
  - {{eventRef: failed, transition: bad, eventDataFilter: {{toStateData: .why}}}}
  defaultCondition: {{transition: late}}
- {{name: good, type: inject, data: {{is: good}}, end: true}}
- {{name: bad, type: inject, data: {{is: bad}}, end: true}}
- {{name: late, type: inject, data: {{is: late}}, end: true}}
"""


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("order.paid", {"a": 1, "n": 2, "is": "good"}),
        ("order.failed", {"a": 1, "why": {"n": 2}, "is": "bad"}),
        ("", {"a": 1, "is": "late"}),
    ],
)
def test_a_switch_can_wait_for_events(kind: str, expected: Any) -> None:
    driver = begin(SWITCH)
    if kind:
        hear(driver, kind, {"n": 2})
    assert driver.run().output == expected


CALLBACK = f"""
{FUNCTIONS}{EVENTS}
states:
- name: ask
  type: callback
  action: {{functionRef: notify}}
  eventRef: paid
  eventDataFilter: {{toStateData: .answer}}
  timeouts: {{eventTimeout: PT1H}}
  end: true
"""


def test_a_callback_waits_for_its_event() -> None:
    driver = begin(CALLBACK, {"a": 1}, notify={"asked": True})
    hear(driver, "order.paid", {"yes": True})
    assert driver.output == {"a": 1, "asked": True, "answer": {"yes": True}}


def test_a_callback_may_come_before_its_action_has_returned() -> None:
    driver = begin(CALLBACK, {"a": 1}, notify=lambda _: {"asked": True})
    assert driver.live.listeners, "it listens while the action runs"


def test_a_callback_that_never_comes_is_passed_over() -> None:
    driver = begin(CALLBACK, {"a": 1}, notify={"asked": True})
    assert driver.run().output == {"a": 1, "asked": True}


def test_an_action_can_be_an_event_and_its_answer() -> None:
    text = f"""
{EVENTS}
states:
- name: s
  type: operation
  end: true
  actions:
  - eventRef: {{triggerEventRef: done, resultEventRef: paid, data: "${{ .a }}"}}
    actionDataFilter: {{results: .n, toStateData: .sum}}
"""
    driver = begin(text, {"a": 1})
    assert [event["data"] for event in driver.published] == [1]
    hear(driver, "order.paid", {"n": 5})
    assert driver.output == {"a": 1, "sum": 5}


def test_an_answer_that_does_not_come_in_time_is_an_error() -> None:
    reference = "{triggerEventRef: done, resultEventRef: paid, resultEventTimeout: PT1M}"
    text = f"""
{EVENTS}
states:
- {{name: s, type: operation, end: true, actions: [{{eventRef: {reference}}}]}}
"""
    assert begin(text).run().failure.type.endswith("timeout")


ERRORS = f"""
{FUNCTIONS}
errors:
- {{name: missing, code: '404'}}
- {{name: broken, code: 'https://example.com/broken'}}
states:
- name: s
  type: operation
  actions: [{{functionRef: charge}}]
  onErrors:
  - {{errorRef: missing, transition: handle}}
  - {{errorRefs: [broken], end: true}}
  transition: last
- {{name: handle, type: inject, data: {{handled: true}}, end: true}}
- {{name: last, type: inject, data: {{last: true}}, end: true}}
"""


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"b": 1}, {"a": 1, "b": 1, "last": True}),
        (error("communication", 404), {"a": 1, "handled": True}),
    ],
)
def test_an_error_leads_to_the_state_that_handles_it(result: Any, expected: Any) -> None:
    assert run(ERRORS, {"a": 1}, charge=result).output == expected


def test_an_error_can_end_the_workflow() -> None:
    failure = error("communication", 500)
    failure = type(failure)(type="https://example.com/broken", status=500)
    assert run(ERRORS, {"a": 1}, charge=failure).output == {"a": 1}


def test_an_unknown_error_fails_the_workflow() -> None:
    assert run(ERRORS, {"a": 1}, charge=error("communication", 503)).failure.status == 503


def test_after_a_handled_error_a_state_can_be_entered_again() -> None:
    text = ERRORS.replace("data: {handled: true}, end: true", "data: {again: true}, transition: s")
    driver = run(text, {}, charge=InTurn(error("communication", 404), {"b": 1}))
    assert driver.output == {"again": True, "b": 1, "last": True}


RETRIES = f"""
{FUNCTIONS}
errors: [{{name: busy, code: '503'}}, {{name: gone, code: '410'}}]
retries:
- {{name: often, delay: PT10S, maxAttempts: 2, multiplier: 2}}
states:
- name: s
  type: operation
  end: true
  actions: [{{functionRef: charge, retryRef: often}}]
"""
BUSY, GONE = error("communication", 503), error("communication", 410)


def test_an_action_is_tried_again() -> None:
    driver = begin(RETRIES, {"a": 1}, charge=InTurn(BUSY, BUSY, {"b": 1}))
    started = driver.now
    assert driver.run().output == {"a": 1, "b": 1}
    assert driver.now - started == 30_000_000
    assert run(RETRIES, {}, charge=InTurn(BUSY, BUSY, BUSY, {"b": 1})).failure.status == 503


def test_only_some_errors_may_be_tried_again() -> None:
    text = RETRIES.replace("often}]", "often, retryableErrors: [busy]}]")
    assert run(text, {}, charge=InTurn(BUSY, {"b": 1})).output == {"b": 1}
    assert run(text, {}, charge=InTurn(GONE, {"b": 1})).failure.status == 410


def test_everything_can_be_tried_again_by_itself() -> None:
    text = "autoRetries: true\n" + RETRIES.replace(
        "retryRef: often}]", "nonRetryableErrors: [gone]}]"
    )
    busy = [BUSY] * 20
    assert run(text, {}, charge=InTurn(*busy, {"b": 1})).output == {"b": 1}
    assert run(text, {}, charge=InTurn(BUSY, GONE, {"b": 1})).failure.status == 410


def test_an_action_may_not_take_too_long() -> None:
    text = RETRIES.replace("states:", "timeouts: {actionExecTimeout: PT5S}\nstates:")
    document = cleanly(text)
    task = document["do"][0]["s"]["try"][0]["try charge"]
    assert task["timeout"] == {"after": "PT5S"}


@pytest.mark.parametrize(
    ("timeouts", "expected"),
    [("{stateExecTimeout: PT1M}", "PT1M"), ("{stateExecTimeout: {total: PT2M}}", "PT2M")],
)
def test_a_state_may_not_take_too_long(timeouts: str, expected: str) -> None:
    text = f"""
timeouts: {{stateExecTimeout: PT9M, workflowExecTimeout: PT1H}}
{FUNCTIONS}
states:
- name: s
  type: operation
  timeouts: {timeouts}
  actions: [{{functionRef: charge}}]
  transition: t
- {{name: t, type: inject, data: {{a: 1}}, end: true}}
"""
    document = cleanly(text)
    limits = [task["timeout"]["after"] for entry in document["do"] for task in entry.values()]
    assert limits == [expected, "PT9M"]
    assert document["timeout"] == {"after": "PT1H"}


STARTED = f"""
{FUNCTIONS}
events:
- {{name: paid, type: order.paid, source: there, correlation: [{{contextAttributeName: order}}]}}
- name: shipped
  type: order.shipped
  source: there
  correlation:
  - {{contextAttributeName: order}}
  - {{contextAttributeName: kind, contextAttributeValue: fast}}
states:
- name: start
  type: event
  onEvents: [{{eventRefs: [paid], actions: [{{functionRef: charge}}]}}]
  transition: wait
- {{name: wait, type: event, onEvents: [{{eventRefs: [shipped]}}], end: true}}
"""


def test_events_start_a_workflow_and_are_its_input() -> None:
    event = {"type": "order.paid", "source": "there", "data": {"n": 1}, "order": "7"}
    driver = begin(STARTED, [event], charge={"c": 1})
    hear(driver, "order.shipped", {"s": 1}, order="8", kind="fast")
    hear(driver, "order.shipped", {"s": 2}, order="7", kind="slow")
    assert driver.live.status == "waiting"
    hear(driver, "order.shipped", {"s": 3}, order="7", kind="fast")
    assert driver.output == {"n": 1, "c": 1, "s": 3}


def test_what_starts_a_workflow_is_its_schedule() -> None:
    document = cleanly(STARTED)
    wanted = {"with": {"type": "order.paid", "source": '${ "there" }'}}
    correlate = {"order": {"from": "${ .order }"}}
    assert document["schedule"] == {"on": {"one": {**wanted, "correlate": correlate}}}


def test_an_event_state_that_is_entered_again_listens_then() -> None:
    text = STARTED.replace("type: event, onEvents: [{eventRefs: [shipped]}], end: true",
                           "type: inject, data: {w: 1}, transition: start")  # fmt: skip
    event = {"type": "order.paid", "source": "there", "data": {"n": 1}, "order": "7"}
    driver = begin(text, [event], charge={"c": 1})
    assert driver.live.status == "waiting"
    hear(driver, "order.paid", {"n": 2}, order="7")
    assert [name for name in driver.started() if name.startswith("start")][:2] == [
        "start: started",
        "start",
    ]


def test_several_events_can_start_a_workflow() -> None:
    text = f"""
{FUNCTIONS}{EVENTS}
states:
- name: start
  type: event
  onEvents:
  - {{eventRefs: [paid], actions: [{{functionRef: charge}}]}}
  - {{eventRefs: [failed], actions: [{{functionRef: refund}}]}}
  end: true
"""
    event = {"type": "order.failed", "source": "there", "data": {"n": 1}}
    driver = run(text, [event], charge={"by": "charge"}, refund={"by": "refund"})
    assert driver.output == {"n": 1, "by": "refund"}
    assert list(convert(text).document["schedule"]["on"]) == ["any"]


def started(driver: Driver) -> list[Start]:
    """Return the executions that were started."""
    return [command for command in driver.told if isinstance(command, Start)]


def test_a_workflow_can_be_part_of_another() -> None:
    text = """
states:
- name: s
  type: operation
  end: true
  actions:
  - subFlowRef: {workflowId: handleOrder, version: '2.1'}
    actionDataFilter: {results: .n, toStateData: .sum}
  - {subFlowRef: other}
"""
    driver = begin(text, {"a": 1})
    child = started(driver)[0].workflow
    assert (child.namespace, child.name, child.version) == ("default", "handle-order", "2.1.0")
    driver.report(driver.told[0].id, {"n": 4})
    assert started(driver)[1].workflow.version == ""
    driver.report(driver.told[1].id, {"b": 2})
    assert driver.output == {"a": 1, "sum": 4, "b": 2}


def test_a_workflow_can_go_on_as_another() -> None:
    text = """
states:
- {name: a, type: inject, data: {n: 1}, end: {continueAs: {workflowId: next, version: 1.2.3}}}
"""
    driver = run(text)
    assert driver.output == {"n": 1}
    following = started(driver)[0].workflow
    assert (following.name, following.version) == ("next", "1.2.3")
