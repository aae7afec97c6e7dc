"""The schema's verdict and its explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from flunq.core.reading import check_document, check_value, read_source
from flunq.core.reading.schema import check_structure, is_valid, reference_validator
from tests.support.mutations import Mutator

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "document: {dsl: 1.0.3, namespace: a, name: b, version: 1.0.0}\n"
HTTP = "do:\n- a:\n    call: http\n"
KINDS = (
    "'call', 'do', 'emit', 'for', 'fork', 'listen', 'raise', 'run', 'set', 'switch', 'try' or"
    " 'wait'"
)
DURATION = "a duration, like {seconds: 5} or 'PT5S'"
TASK_LIST = "a list of tasks, each a map of one task by its name"

WRONG: list[tuple[str, tuple[int, int], str, str]] = [
    (HTTP + "    with: {methd: GET, endpoint: https://x.y}",
     (5, 12), "unknown property 'methd'; did you mean 'method'?", "unknown-property"),
    (HTTP + "    with: {method: GET, endpoint: nowhere}",
     (5, 35), ("'endpoint' needs a URI, a URI template, an expression in ${ } or an object with"
     " 'uri', not 'nowhere'"), "wrong-value"),
    (HTTP + "    with: {method: GET, endpoint: {ur: 'https://x.y'}}",
     (5, 36), "unknown property 'ur'; did you mean 'uri'?", "unknown-property"),
    (HTTP + "    with: {method: GET, endpoint: 'https://x.y', headers: {a: 1}}",
     (5, 63), "'a' needs a text, not 1", "wrong-type"),
    (HTTP, (3, 3), "'a' needs the property 'with'", "missing-property"),
    ("do:\n- a: {wait: 5}", (3, 13), f"'wait' needs {DURATION}, not 5", "wrong-value"),
    ("do:\n- a: {wait: 5s}", (3, 13), f"'wait' needs {DURATION}, not '5s'", "wrong-value"),
    ("do:\n- a: {wait: {}}",
     (3, 13), f"'wait' needs {DURATION}, not an empty object", "wrong-value"),
    ("do:\n- a: {wait: {second: 5}}",
     (3, 14), "unknown property 'second'; did you mean 'seconds'?", "unknown-property"),
    ("do:\n- a: {wait: {seconds: '5'}}",
     (3, 23), "'seconds' needs a whole number, not '5'", "wrong-type"),
    ("do:\n- a: {cal: x}", (3, 7), "unknown property 'cal'; did you mean 'call'?",
     "unknown-property"),
    ("do:\n- a: {}", (3, 3), f"'a' needs one of {KINDS}", "missing-property"),
    ("do:\n- a:", (3, 5), "'a' needs a task, not nothing", "wrong-type"),
    ("do:\n- a: {call: x, set: {a: 1}}",
     (3, 16), "'set' cannot stand beside 'call'", "conflicting-properties"),
    ("do:\n- a: {set: {a: 1}, while: x}",
     (3, 20), "'while' goes with 'for', which is missing", "missing-property"),
    ("do:\n- a: {set: {}}", (3, 12), ("'set' needs an object with a property or more, or an"
     " expression in ${ }, not an empty object"), "wrong-value"),
    ("do:\n- a: {wait: PT1S}\n  b: {wait: PT1S}",
     (4, 3), "'a' and 'b' stand together where only one is allowed", "conflicting-properties"),
    ("do:\n- a:\n  wait: PT1S",
     (4, 3), "'a' and 'wait' stand together where only one is allowed", "conflicting-properties"),
    ("do: {a: {wait: PT1S}}",
     (2, 5), f"'do' needs {TASK_LIST}, not an object with 'a'", "wrong-type"),
    ("do: [a]", (2, 6), "item 1 needs a map of one task by its name, not 'a'", "wrong-type"),
    ("do: []\ntimeout: 5", (3, 10), ("'timeout' needs a timeout like {after: PT5S}, or the name"
     " of one in 'use.timeouts', not 5"), "wrong-value"),
    ("do: []\nschedule: {evry: PT1S}",
     (3, 12), "unknown property 'evry'; did you mean 'every'?", "unknown-property"),
    ("do:\n- a: {listen: {to: {one: {with: {}}}}}", (3, 33),
     "'with' needs an attribute or more to filter by, not an empty object", "wrong-value"),
    ("do:\n- a: {listen: {to: {}}}",
     (3, 16), "'to' needs one of 'one', 'any' or 'all'", "missing-property"),
    ("do:\n- a: {listen: {to: {any: [], until: {any: [], until: x}}}}",
     (3, 47), "'until' is not allowed here", "unknown-property"),
    ("do:\n- a: {listen: {to: {any: []}, read: dta}}", (3, 37),
     "'read' needs one of 'data', 'envelope' or 'raw', not 'dta'; did you mean 'data'?",
     "wrong-value"),
    ("do:\n- a: {raise: {error: {type: x, status: 400}}}", (3, 29),
     "'type' needs a URI with '://', a template of one or an expression in ${ }, not 'x'",
     "wrong-value"),
    ("do:\n- a: {run: {shell: {command: x}, script: {language: js, code: x}}}",
     (3, 34), "'script' cannot stand beside 'shell'", "conflicting-properties"),
    ("do:\n- a: {run: {script: {language: js}}}",
     (3, 13), "'script' needs one of 'code' or 'source'", "missing-property"),
    ("do:\n- a: {run: {container: {image: x, lifetime: {cleanup: always, after: PT1S}}}}",
     (3, 63), "'after' is not allowed here", "unknown-property"),
    ("do:\n- a: {emit: {event: {with: {type: x, source: 'https://x.y', time: now}}}}", (3, 67),
     ("'time' needs a date and time like '2025-01-31T12:00:00Z' or an expression in ${ },"
     " not 'now'"), "wrong-value"),
    ("do:\n- a: {switch: []}", (3, 15), ("'switch' needs a list of cases, each a map of one case"
     " by its name, not an empty list"), "wrong-value"),
    (("do:\n- a: {call: grpc, with: {proto: {endpoint: 'https://x.y'}, service: {name: a, host:"
     " h, port: 70000}, method: m}}"), (3, 94), "'port' is at most 65535, not 70000",
     "wrong-value"),
    ("do: []\nuse: {secrets: [x], authentications: {a: {bearer: {use: x, token: y}}}}", (3, 60),
     "'use' and 'token' stand together where only one is allowed", "conflicting-properties"),
    ("do: []\nuse: {authentications: {a: {basic: {username: x}}}}",
     (3, 29), "'basic' needs the property 'password'", "missing-property"),
    ("do: []\nuse: {authentications: {a: {bearr: {}}}}", (3, 28),
     ("'a' needs one of 'basic', 'bearer', 'digest', 'oauth2' and 'oidc', not an object with"
     " 'bearr'"), "wrong-value"),
    ("do:\n- a: {if: true, wait: PT1S}", (3, 11), "'if' needs an expression, not true",
     "wrong-type"),
    ("d: []", (1, 1), "the document needs the property 'do'", "missing-property"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "place", "message", "rule"), WRONG)
def test_a_wrong_structure_is_explained_in_one_problem(
    body: str, place: tuple[int, int], message: str, rule: str
) -> None:
    [problem] = check_document(HEADER + body, name="a.yaml")
    assert (problem.message, (problem.line, problem.column), problem.rule) == (message, place, rule)


def test_a_number_for_a_text_gets_the_hint_to_quote_it() -> None:
    text = "document: {dsl: 1.0.3, namespace: a, name: b, version: 1.10}\ndo: []"
    [problem] = check_document(text, name="a.yaml")
    assert problem.message == "'version' needs a version like '1.0.0', not 1.10"
    assert problem.hint == "without quotes it is not a text; write '1.10'"


def test_a_document_of_the_old_version_gets_the_hint_to_convert_it() -> None:
    text = "id: a\nversion: '1.0'\nspecVersion: '0.8'\nstates: []"
    hints = {problem.hint for problem in check_document(text, name="a.yaml")}
    assert hints == {"flunq convert makes version 1.0 of a document of version 0.8"}


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("do:\n- a:\n  wait: PT1S", "indent what belongs to 'a' by two more spaces"),
        ("do:\n- a: {set: {x: ${ .x }}}", "quote the value if it contains a brace or a comma"),
        (
            "do:\n- a: {call: http, with: {method: get, endpoint: 'https://x.y/${ .id }'}}",
            "write {name} for a member of the input, or all of it as one expression in ${ }",
        ),
        ("do: {a: {wait: PT1S}}", "begin each with '- '"),
        ("do: []\nschedule: {xyz: 1}", "known here: every, cron, after, on"),
        ("do:\n- a: {call: x, set: {a: 1}}", "keep one of 'call' or 'set'"),
    ],
)
def test_a_hint_says_what_to_do(body: str, hint: str) -> None:
    [problem] = check_document(HEADER + body, name="a.yaml")
    assert problem.hint == hint


def test_all_problems_are_told_in_the_order_of_the_text() -> None:
    text = HEADER + "do:\n- a: {wait: 5}\n- b: {sett: {}}\n- c: {call: http}\ntimeout: []\n"
    found = [(problem.line, problem.rule) for problem in check_document(text, name="a.yaml")]
    assert found == [
        (3, "wrong-value"), (4, "unknown-property"), (5, "missing-property"), (6, "wrong-value"),
    ]  # fmt: skip


def test_a_message_cannot_carry_control_characters() -> None:
    text = HEADER + 'do:\n- a: {"\\e]0;x\\a\\u202e": 1, wait: PT1S}'
    [problem] = check_document(text, name="a.yaml")
    assert problem.message == r"unknown property '\x1b]0;x\x07\u202e'"


def test_the_whole_language_is_accepted(document_file: Path) -> None:
    assert check_document(document_file.read_bytes(), name=document_file.name) == []


@pytest.mark.parametrize("seed", range(8))
def test_both_validators_and_the_explanation_agree(seed: int, documents: list[Any]) -> None:
    reference = reference_validator(skip_valid_tasks=False)
    mutator = Mutator(seed, documents)
    for mutant in (mutator.mutant() for _ in range(100)):
        verdict = is_valid(mutant)
        assert reference.is_valid(mutant) is verdict, repr(mutant)[:2_000]
        explained = check_structure(
            read_source(msgspec.json.encode(mutant).decode(), name="a.json")
        )
        assert bool(explained) is not verdict, repr(mutant)[:2_000]


@pytest.mark.parametrize("seed", range(100, 104))
def test_every_problem_points_into_the_document(seed: int, documents: list[Any]) -> None:
    mutator = Mutator(seed, documents)
    for mutant in (mutator.mutant() for _ in range(100)):
        text = msgspec.json.encode(mutant).decode()
        for problem in check_document(text, name="a.json"):
            assert 1 <= problem.column <= len(text)
            assert 0 < len(problem.message) < 500
            assert problem.message.isprintable()


def test_a_value_without_text_is_checked_too() -> None:
    header = {"dsl": "1.0.3", "namespace": "a", "name": "b", "version": "1.0.0"}
    assert check_value({"document": header, "do": []}) == []
    [problem] = check_value({"document": header, "do": [{"a": {"wait": 5}}]})
    assert (problem.path, problem.line, problem.column) == ("/do/0/a/wait", 1, 1)


def test_a_value_that_is_not_json_is_a_problem() -> None:
    nested: list[Any] = []
    for _ in range(5_000):
        nested = [nested]
    for value in (nested, {"do": object()}, {"do": "\ud800"}):
        [problem] = check_value(value)
        assert problem.message.startswith("the document is not JSON")
