"""The front door: documents, digests, problems."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flunq.core.reading import InvalidDocument, Problem, check_value, digest_of, read_document
from flunq.core.reading.problems import in_text_order, quoted
from flunq.errors import RejectedError

GOOD = """\
document: {dsl: 1.0.3, namespace: shop, name: orders, version: 2.1.0}
do:
  - greet: {set: {a: 1}}
"""


def test_a_document_knows_its_name_and_its_places() -> None:
    document = read_document(GOOD, name="orders.yaml")
    assert (document.namespace, document.name, document.version) == ("shop", "orders", "2.1.0")
    assert document.value["do"] == [{"greet": {"set": {"a": 1}}}]
    assert document.source.position("/do/0/greet") == (3, 12)


def test_the_digest_is_that_of_the_content() -> None:
    first = read_document(GOOD, name="a.yaml")
    as_json = json.dumps(dict(reversed(first.value.items())), indent=3)
    assert read_document(as_json, name="b.json").digest == first.digest == digest_of(first.value)
    assert len(first.digest) == 64
    assert read_document(GOOD.replace("a: 1", "a: 2"), name="a.yaml").digest != first.digest


def test_an_invalid_document_carries_all_problems() -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_document(GOOD.replace("set: {a: 1}", "sett: 1, wait: 5"), name="bad.yaml")
    error = caught.value
    assert isinstance(error, RejectedError)
    assert [problem.rule for problem in error.problems] == ["unknown-property", "wrong-value"]
    assert str(error).startswith("bad.yaml:3:13: unknown property 'sett'; did you mean 'set'?")
    assert error.problem()["errors"] == [problem.to_json() for problem in error.problems]


def test_a_long_list_of_problems_is_shortened_in_the_message_only() -> None:
    problems = [
        Problem(path="", line=i, column=1, message=f"m{i}", rule="r") for i in range(9, 0, -1)
    ]
    error = InvalidDocument(problems, name="x")
    assert str(error).splitlines() == [
        "x:1:1: m1 [r]", "x:2:1: m2 [r]", "x:3:1: m3 [r]", "... and 6 more",
    ]  # fmt: skip
    assert len(error.problems) == 9


def test_a_problem_has_the_members_of_the_contract() -> None:
    problem = Problem(path="/a", line=1, column=2, message="m", rule="r", hint="h")
    assert problem.text("f.yaml") == "f.yaml:1:2: m [r]"
    assert problem.to_json() == {
        "path": "/a", "line": 1, "column": 2, "message": "m", "rule": "r", "hint": "h",
    }  # fmt: skip


def test_what_is_said_twice_is_told_once() -> None:
    problem = Problem(path="", line=1, column=1, message="m", rule="r")
    assert in_text_order([problem, problem]) == (problem,)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", "'a'"), ("a\nb", r"'a\nb'"), ("\u202e", r"'\u202e'"), ("é", "'é'"), ("x" * 50, None)],
)
def test_quoted_texts_are_short_and_harmless(text: str, shown: str | None) -> None:
    assert quoted(text) == (shown or f"'{'x' * 37}...'")


def test_importing_the_reader_loads_no_validator_and_no_parser() -> None:
    heavy = ("yaml", "jsonschema", "jsonschema_rs", "cronsim", "jq")
    code = f"import sys, flunq.core.reading; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_valid_document_needs_no_explaining_validator() -> None:
    code = (
        "import sys; from flunq.core.reading import read_document;"
        f"read_document({GOOD!r}, name='x'); print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_value_of_a_good_document_is_good() -> None:
    assert check_value(read_document(GOOD, name="x").value) == []
