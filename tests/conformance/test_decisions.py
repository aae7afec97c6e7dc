"""Each decision of docs/dsl-decisions.md has an example that can be read and a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flunq.core.reading import read_source
from tests.conformance.cases import all_cases

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "dsl-decisions.md").read_text(encoding="utf-8")
DECISIONS = dict(re.findall(r"^### (.+)\n((?:(?!^##).*\n?)*)", TEXT, re.MULTILINE))
EXAMPLE = re.compile(r"```(yaml|console|sh)\n(.*?)```", re.DOTALL)
CASE = re.compile(r"`tests/conformance/cases/([a-z]+\.yaml)` \(([^)]+)\)")
FUNCTION = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


@pytest.mark.parametrize("title", DECISIONS)
def test_a_decision_has_an_example_and_a_test_that_exists(title: str) -> None:
    body, held = re.split(r"\nHeld by\s", DECISIONS[title])
    held = " ".join(held.split())
    for language, example in EXAMPLE.findall(body):
        assert language != "yaml" or read_source(example, name=title).value
    known = {(case.file, case.case) for case in all_cases()}
    cases, functions = CASE.findall(held), FUNCTION.findall(held)
    assert EXAMPLE.search(body)
    assert cases or functions
    assert [case for case in cases if case not in known] == []
    for path, name in functions:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_there_are_decisions() -> None:
    assert len(DECISIONS) > 80
