"""Faults in one table: every standard error, every time limit, every rule of a retry."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from flunq.core.duration import SECOND
from tests.support.driver import BASE, Driver, error, run

SCHEMA = "{schema: {document: {type: string}}}"


@pytest.mark.parametrize(
    ("task", "kind", "status"),
    [
        ("raise: {error: nowhere}", "configuration", 400),
        ("wait: soon", "configuration", 400),
        ("set: 1, then: nowhere", "configuration", 400),
        ("set: 1, timeout: nowhere", "configuration", 400),
        ("set: 1, input: {schema: {document: {type: nonsense}}}", "configuration", 400),
        (f"set: 1, input: {SCHEMA}", "validation", 400),
        (f"set: 1, output: {SCHEMA}", "validation", 400),
        (f"set: 1, export: {SCHEMA}", "validation", 400),
        ("set: '${ .a.b.c }'", "expression", 400),
        ("set: '${ ) }'", "expression", 400),
        ("set: 1, if: .a.b.c", "expression", 400),
        ("set: 1, input: {from: .a.b.c}", "expression", 400),
        ("set: 1, output: {as: .a}", "expression", 400),
        ("set: 1, export: {as: .a}", "expression", 400),
        ("for: {in: .a}, do: []", "expression", 400),
        ("switch: [{c: {when: .a.b.c, then: exit}}]", "expression", 400),
        ("wait: '${ .a }'", "expression", 400),
        ("raise: {error: {type: '${ 1 }', status: 400}}", "expression", 400),
        ("emit: {event: {with: {source: '${ 1 }', type: t}}}", "expression", 400),
        ("set: '${ $secrets.nowhere }'", "authorization", 403),
        ("call: http, with: {method: get, endpoint: 'http://x/{o}'}", "expression", 400),
        ("call: timed, timeout: {after: PT1S}", "timeout", 408),
        ("call: communication", "communication", 503),
        ("call: authentication", "authentication", 401),
        ("call: runtime", "runtime", 500),
    ],
)
def test_an_error_has_the_type_and_status_of_its_kind_and_the_place(
    task: str, kind: str, status: int
) -> None:
    results = {
        "communication": error("communication", 503),
        "authentication": error("authentication", 401),
        "runtime": error("runtime", 500),
    }
    driver = Driver(f"do: [{{x: {{{task}}}}}]", {"a": "text", "o": {}}, results).begin()
    if driver.queue and driver.queue[0].kind != "function:timed":
        driver.work()
    elif not driver.done:
        driver.fire()
    failure = driver.failure
    assert (failure.type, failure.status, failure.instance) == (BASE + kind, status, "/do/0/x")


@pytest.mark.parametrize(
    "task",
    [
        "call: f",
        "wait: PT1H",
        "do: [{i: {wait: PT1H}}]",
        "for: {in: '[1]'}, do: [{i: {wait: PT1H}}]",
        "fork: {branches: [{i: {wait: PT1H}}, {j: {call: f}}]}",
        "try: [{i: {wait: PT1H}}], catch: {errors: {with: {status: 408}}}",
        "try: [{i: {raise: {error: {type: a, status: 1}}}}], catch: {do: [{i: {wait: PT1H}}]}",
        "try: [{i: {raise: {error: {type: a, status: 1}}}}], catch: {retry: {delay: PT1H}}",
        "listen: {to: {any: []}}",
        "listen: {to: {any: []}}, foreach: {do: [{i: {wait: PT1H}}]}",
    ],
)
@pytest.mark.parametrize("limit", ["{after: PT5S}", "short", "{after: '${ .limit }'}"])
def test_a_time_limit_interrupts_every_kind_of_task(task: str, limit: str) -> None:
    text = f"use: {{timeouts: {{short: {{after: {{seconds: 5}}}}}}}}\n\
do: [{{x: {{{task}, timeout: {limit}}}}}]"
    driver = Driver(text, {"limit": "PT5S"}).begin()
    driver.fire()
    failure = driver.failure
    assert (failure.type, failure.status, failure.instance) == (BASE + "timeout", 408, "/do/0/x")
    assert (driver.timers, driver.open, driver.live.listeners) == ({}, set(), {})


def test_the_limit_of_the_workflow_may_come_by_name() -> None:
    text = "{use: {timeouts: {t: {after: PT5S}}}, timeout: t, do: [{x: {wait: PT1H}}]}"
    driver = Driver(text).begin()
    driver.fire()
    assert (driver.failure.status, driver.failure.instance) == (408, "/timeout")


CALL = "do: [{t: {try: [{c: {call: f}}], catch: {retry: RETRY}}}]"
UNAVAILABLE = error("communication", 503, title="Unavailable", detail="later")


def gaps(retry: str, input: Any = None, use: str = "") -> list[float]:
    """Return the seconds between the calls of a task that always fails."""
    moments: list[int] = []
    driver = Driver(use + CALL.replace("RETRY", retry), input).begin()
    while not driver.done:
        if driver.queue:
            moments.append(driver.now)
            driver.report(driver.queue.pop().task, UNAVAILABLE)
        else:
            driver.fire()
    assert driver.failure.status == 503
    return [(b - a) / SECOND for a, b in itertools.pairwise(moments)]


LIMIT = "limit: {attempt: {count: 3}}"


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (f"{{{LIMIT}}}", [0, 0, 0]),
        ("{limit: {attempt: {count: 0}}}", []),
        (f"{{delay: PT2S, {LIMIT}}}", [2, 2, 2]),
        (f"{{delay: '${{ .pause }}', {LIMIT}}}", [4, 4, 4]),
        (f"{{delay: PT2S, backoff: {{constant: {{ms: 7}}}}, {LIMIT}}}", [2, 2, 2]),
        (f"{{delay: PT2S, backoff: {{linear: {{increment: 7}}}}, {LIMIT}}}", [2, 4, 6]),
        (f"{{delay: PT2S, backoff: {{exponential: {{factor: 7}}}}, {LIMIT}}}", [2, 4, 8]),
        ("{delay: PT4S, limit: {duration: PT9S}}", [4, 4]),
        ("{delay: PT4S, limit: {duration: PT9S, attempt: {count: 1}}}", [4]),
        (f"{{when: .status == 404, {LIMIT}}}", []),
        (f"{{when: $error.status == 503, {LIMIT}}}", [0, 0, 0]),
        (f"{{exceptWhen: $error.status == 503, {LIMIT}}}", []),
        (f"{{exceptWhen: .status == 404, {LIMIT}}}", [0, 0, 0]),
        ("slowly", [1, 1]),
    ],
)
def test_a_retry_follows_its_policy(retry: str, expected: list[float]) -> None:
    named = "use: {retries: {slowly: {delay: PT1S, limit: {attempt: {count: 2}}}}}\n"
    assert gaps(retry, {"pause": "PT4S"}, named) == expected


def test_jitter_lies_in_its_range_and_differs() -> None:
    jitter = "jitter: {from: {milliseconds: 100}, to: {milliseconds: 900}}"
    found = gaps(f"{{delay: PT1S, {jitter}, limit: {{attempt: {{count: 6}}}}}}")
    assert all(1.1 <= gap <= 1.9 for gap in found)
    assert len(set(found)) > 1


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("type: '${ .t }', status: 418", ("my:type", 418, None, None)),
        ("type: a:b, status: 1, title: '${ .t }'", ("a:b", 1, "my:type", None)),
        ("type: a:b, status: 1, detail: 'got ${ .n }'", ("a:b", 1, None, "got 3")),
        ("type: a:b, status: 1, instance: /x", ("a:b", 1, None, None)),
        ("type: a:b, status: '${ .n }'", ("a:b", 3, None, None)),
    ],
)
def test_a_raised_error_is_what_its_definition_says(members: str, expected: Any) -> None:
    failure = run(f"do: [{{r: {{raise: {{error: {{{members}}}}}}}}}]", {"t": "my:type", "n": 3})
    found = failure.failure
    assert (found.type, found.status, found.title, found.detail) == expected
    assert found.instance == "/do/0/r"


def test_a_caught_error_can_be_raised_again_as_another() -> None:
    text = """
do:
- t:
    try: [{c: {call: f}}]
    catch:
      as: first
      do:
      - r:
          raise: {error: {type: '${ $first.type }', status: 599, detail: '${ $first.title }'}}
"""
    failure = run(text, None, {"f": UNAVAILABLE}).failure
    assert (failure.type, failure.status, failure.detail) == (
        BASE + "communication",
        599,
        "Unavailable",
    )
    assert failure.instance == "/do/0/t/catch/do/0/r"
