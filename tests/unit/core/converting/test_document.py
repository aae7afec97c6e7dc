"""The document around the states, and what is told about what was left out."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
import yaml

from flunq.core.converting import convert_document
from flunq.core.converting.names import label, semantic_version
from flunq.core.reading import InvalidDocument, check_value
from tests.support.converting import FUNCTIONS, cleanly, convert, rules
from tests.unit.core.converting import test_data, test_states

STATES = "states: [{name: s, type: inject, data: {a: 1}, end: true}]"
RETRY = "retries: [{name: r, delay: PT4S, maxAttempts: 3, %s}]\n" + STATES


def test_the_header_says_what_the_old_one_said() -> None:
    text = f"""
id: sendOrderToHTTPService
key: send
description: Sends orders
annotations: [a, b]
metadata: {{team: x}}
constants: {{limit: 3}}
{STATES}
"""
    assert cleanly(text)["document"] == {
        "dsl": "1.0.3",
        "namespace": "default",
        "name": "send-order-to-http-service",
        "version": "1.0.0",
        "title": "Sample",
        "summary": "Sends orders",
        "metadata": {
            "team": "x",
            "constants": {"limit": 3},
            "annotations": ["a", "b"],
            "key": "send",
        },
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sendOrder", "send-order"),
        ("Send  Order!", "send-order"),
        ("HTTPServer2Go", "http-server2-go"),
        ("été", "t"),
        ("???", "workflow"),
        ("x" * 80, "x" * 63),
    ],
)
def test_names_become_labels(text: str, expected: str) -> None:
    assert label(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", "1.0.0"), ("v2.3", "2.3.0"), ("01.2.3-rc1", "1.2.3-rc1"), ("latest", None), ("", None)],
)
def test_versions_become_semantic(text: str, expected: str | None) -> None:
    assert semantic_version(text) == expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("R/PT2H", {"every": "PT2H"}),
        ("{interval: R/PT2H}", {"every": "PT2H"}),
        ("{cron: '0 9 * * *'}", {"cron": "0 9 * * *"}),
        ("{cron: {expression: '0 0/15 9-17 ? * 2-6'}}", {"cron": "*/15 9-17 * * MON-FRI"}),
        ("{cron: '0 30 8 1 * ? *', timezone: UTC}", {"cron": "30 8 1 * *"}),
        ("{cron: '30 0 9 * * ?'}", {"cron": "30 0 9 * * *"}),
    ],
)
def test_schedules_are_kept(start: str, expected: Any) -> None:
    document = cleanly(f"start: {{stateName: s, schedule: {start}}}\n{STATES}")
    assert document["schedule"] == expected


def test_a_time_zone_is_kept_where_schedules_have_it() -> None:
    start = "{stateName: s, schedule: {cron: '0 9 * * *', timezone: Europe/Paris}}"
    document = cleanly(f"metadata: {{schedule: old}}\nstart: {start}\n{STATES}")
    metadata = document["document"]["metadata"]
    assert metadata == {"schedule": {"timezone": "Europe/Paris"}, "oldSchedule": "old"}


@pytest.mark.parametrize(
    ("start", "kept"),
    [
        ("R/2026-01-01T00:00:00Z/PT2H", {"every": "PT2H"}),
        ("R5/PT2H", {"every": "PT2H"}),
        ("2026-01-01T00:00:00Z/2026-02-01T00:00:00Z", None),
        ("{cron: '0 30 8 1 * ? 2030'}", None),
        ("{cron: nonsense}", None),
        ("{cron: {expression: '0 9 * * *', validUntil: '2030-01-01'}}", {"cron": "0 9 * * *"}),
        ("{cron: '0 9 * * *', timezone: Europe/Nowhere}", {"cron": "0 9 * * *"}),
    ],
)
def test_what_schedules_cannot_do_is_told(start: str, kept: Any) -> None:
    converted = convert(f"start: {{stateName: s, schedule: '{start}'}}\n{STATES}".replace(
        "'{", "{").replace("}'}", "}}"))  # fmt: skip
    assert [problem.rule for problem in converted.problems] == ["schedule"]
    assert converted.document.get("schedule") == kept


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("multiplier: 2", {"backoff": {"exponential": {}}}),
        ("multiplier: '1'", {}),
        ("increment: PT4S", {"backoff": {"linear": {}}}),
        ("jitter: PT1S", {"jitter": {"from": {"milliseconds": 0}, "to": "PT1S"}}),
        ("jitter: 0.5", {"jitter": {"from": {"milliseconds": 0}, "to": {"milliseconds": 2000}}}),
    ],
)
def test_retry_policies_are_kept(members: str, expected: Any) -> None:
    policy = cleanly(RETRY % members)["use"]["retries"]["r"]
    assert policy == {"delay": "PT4S", "limit": {"attempt": {"count": 3}}, **expected}


@pytest.mark.parametrize("members", ["multiplier: 1.5", "increment: PT1S", "maxDelay: PT1M"])
def test_what_retries_cannot_do_is_told(members: str) -> None:
    assert rules(RETRY % members) == ["retry-delay"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("properties: {username: ada, password: '${ $SECRETS.PW }'}",
         {"basic": {"username": "ada", "password": "${ $secrets.PW }"}}),
        ("scheme: bearer, properties: '${ $SECRETS.TOKEN }'", {"bearer": {"use": "TOKEN"}}),
        (("scheme: oauth2, properties: {authority: 'https://a.b', grantType: clientCredentials,"
         " clientId: me, clientSecret: x, scopes: [r]}"),
         {"oauth2": {"authority": "https://a.b", "grant": "client_credentials",
                     "client": {"id": "me", "secret": "x"}, "scopes": ["r"]}}),
    ],
)  # fmt: skip
def test_authentication_is_kept(policy: str, expected: Any) -> None:
    text = f"""
secrets: [PW, TOKEN]
auth: [{{name: login, {policy}}}]
functions: [{{name: f, operation: "http://a.b/c.json#d", authRef: login}}]
states: [{{name: s, type: operation, actions: [{{functionRef: f}}], end: true}}]
"""
    document = cleanly(text)
    assert document["use"] == {"authentications": {"login": expected}, "secrets": ["PW", "TOKEN"]}
    assert document["do"][0]["s"]["with"]["authentication"] == {"use": "login"}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("operation: 'http://a.b/c.json#op'",
         {"call": "openapi", "with": {"document": {"endpoint": "http://a.b/c.json"},
                                      "operationId": "op", "parameters": {"x": 1}}}),
        ("operation: 'specs/c.json#op'",
         {"call": "openapi", "with": {"document": {"endpoint": "file://specs/c.json"},
                                      "operationId": "op", "parameters": {"x": 1}}}),
        ("type: asyncapi, operation: 'file://a.yaml#send'",
         {"call": "asyncapi", "with": {"document": {"endpoint": "file://a.yaml"},
                                       "operation": "send", "message": {"payload": {"x": 1}}}}),
        ("type: custom, operation: 'rest:post:http://a.b/c'",
         {"call": "http", "with": {"method": "post", "endpoint": "http://a.b/c",
                                   "body": {"x": 1}}}),
        ("type: custom, operation: 'rest:get:http://a.b/c'",
         {"call": "http", "with": {"method": "get", "endpoint": "http://a.b/c",
                                   "query": {"x": "1"}}}),
    ],
)  # fmt: skip
def test_functions_become_calls(function: str, expected: Any) -> None:
    text = f"""
functions: [{{name: f, {function}}}]
states:
- name: s
  type: operation
  end: true
  actions:
  - functionRef: {{refName: f, arguments: {{x: 1}}}}
    actionDataFilter: {{useResults: false}}
"""
    document = cleanly(text)
    assert document["do"] == [{"s": {**expected, "output": {"as": "${ $task.input }"}}}]


def test_a_grpc_call_needs_a_host_that_nobody_told() -> None:
    text = """
functions: [{name: f, type: rpc, operation: 'file://u.proto#Users#Add'}]
states: [{name: s, type: operation, end: true, actions: [{functionRef: f}]}]
"""
    converted = convert(text)
    assert [problem.rule for problem in converted.problems] == ["grpc-host"]
    call = converted.document["do"][0]["s"]["with"]
    assert (call["service"]["name"], call["method"]) == ("Users", "Add")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("keepActive: true\n" + STATES, "keep-active"),
        ("expressionLang: js\n" + STATES, "expression-language"),
        ("specVersion: '0.7'\n" + STATES, "spec-version"),
        ("version: newest\n" + STATES, "version"),
        ("colour: red\n" + STATES, "unknown-property"),
        ("dataInputSchema: {schema: a, failOnValidationErrors: false}\n" + STATES, "input-schema"),
        ("timeouts: {workflowExecTimeout: {duration: PT1H, runBefore: s}}\n" + STATES, "timeout"),
        ("timeouts: {workflowExecTimeout: 5 minutes}\n" + STATES, "duration"),
        ("functions: http://a.b/functions.json\n" + STATES, "external-file"),
        ("auth: [{name: a, scheme: oauth2, properties: {}}]\n" + STATES, "authentication"),
        (STATES.replace("end: true", "end: {compensate: true}"), "compensation"),
        (STATES.replace("end: true", "end: true, compensatedBy: undo"), "compensation"),
        (STATES.replace("end: true", "transition: nowhere"), "unknown-reference"),
        (STATES.replace(", end: true", ""), "no-end"),
        (STATES.replace("inject", "delay"), "state-type"),
        (STATES.replace("a: 1", "a: '${ .b + }'"), "expression"),
        (STATES.replace("a: 1", "a: '${ $nothing }'"), "expression"),
        (STATES.replace("a: 1", "a: '${ fn:nothing }'"), "expression"),
        ("start: t\n" + STATES, "unknown-reference"),
        ((f"{FUNCTIONS}states: [{{name: s, type: foreach, inputCollection: .a, end: true,"
         " actions: [{functionRef: charge}]}]"), "foreach-parallel"),
        ((f"{FUNCTIONS}states: [{{name: s, type: operation, end: true,"
         " actions: [{functionRef: {refName: charge, invoke: async}}]}]"), "async-call"),
        (("states: [{name: s, type: operation, end: true,"
         " actions: [{subFlowRef: {workflowId: a, invoke: async}}]}]"), "on-parent-complete"),
        (("functions: [{name: f, type: graphql, operation: 'http://a#query#b'}]\n"
         "states: [{name: s, type: operation, end: true, actions: [{functionRef: f}]}]"),
         "function"),
        (("functions: [{name: f, type: custom, operation: script}]\n"
         "states: [{name: s, type: operation, end: true, actions: [{functionRef: f}]}]"),
         "custom-function"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_told(text: str, rule: str) -> None:
    assert rules(text) == [rule]


def test_a_problem_has_the_place_of_its_value() -> None:
    state = "{name: s, type: inject, data: {}, end: {compensate: true}}"
    text = f"id: a\nspecVersion: '0.8'\nstates:\n- {state}\n"
    problem = convert_document(text, name="old.yaml").problems[0]
    assert (problem.line, problem.column, problem.path) == (4, 43, "/states/0/end/compensate")


def test_a_call_that_cannot_be_converted_fails_when_it_is_reached() -> None:
    state = "{name: s, type: operation, end: true, actions: [{functionRef: x}]}"
    text = f"{FUNCTIONS}states: [{state}]"
    task = convert(text).document["do"][0]["s"]
    assert task["raise"]["error"]["detail"] == "there is no function 'x'"


def test_files_beside_the_document_are_read_with_it() -> None:
    text = """
functions: file://functions.json
retries: retries.yaml
states: [{name: s, type: operation, end: true, actions: [{functionRef: f, retryRef: r}]}]
"""
    functions = {"functions": [{"name": "f", "operation": "http://a.b/c.json#d"}]}
    included = {
        "file://functions.json": functions,
        "retries.yaml": [{"name": "r", "maxAttempts": 1}],
    }
    converted = convert(text, **included)
    assert converted.problems == ()
    assert "r" in converted.document["use"]["retries"]


@pytest.mark.parametrize("text", ["[]", "5", "document: {}\ndo: []", "states: 5", "{"])
def test_what_is_no_old_document_is_refused(text: str) -> None:
    with pytest.raises(InvalidDocument):
        convert_document(text, name="x.yaml")


def _mutated(value: Any, chance: random.Random) -> Any:
    """Return a value with one part of it replaced, dropped or moved."""
    parts: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            parts += [(part, key) for key in part]
            stack += part.values()
        elif isinstance(part, list):
            parts += [(part, index) for index in range(len(part))]
            stack += part
    if not parts:
        return value
    owner, key = chance.choice(parts)
    junk: list[Any] = [None, 5, "", "x", "${ .a }", "${", True, [], {}, [{}], {"name": "s"}, ["s"]]
    moved = msgspec.json.decode(msgspec.json.encode(chance.choice(parts)[0]))
    owner[key] = chance.choice([*junk, moved])
    return value


SAMPLES = [
    *(getattr(test_states, name) for name in
      ("EITHER", "SWITCH", "CALLBACK", "ERRORS", "RETRIES", "STARTED")),
    test_data.PARALLEL,
    f"{test_data.FOREACH}  - {test_data.CHARGE}}}",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(300))
def test_whatever_comes_in_what_comes_out_is_valid(seed: int) -> None:
    chance = random.Random(seed)
    value = {"id": "a", "specVersion": "0.8", **yaml.safe_load(chance.choice(SAMPLES))}
    for _ in range(chance.randint(1, 4)):
        value = _mutated(value, chance)
    has_states = isinstance(value, dict) and isinstance(value.get("states"), list)
    try:
        converted = convert_document(msgspec.json.encode(value), name="old.json")
    except InvalidDocument:
        assert not has_states
    else:
        assert check_value(converted.document) == []
