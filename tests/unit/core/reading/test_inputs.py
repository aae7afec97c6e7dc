"""Inputs are read strictly, whether small or large."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flunq.core.reading import InvalidDocument, read_input

PADDING = " " * 70_000
"""Makes an input large, so that it is read without positions."""


@pytest.mark.parametrize("padding", ["", PADDING], ids=["small", "large"])
@pytest.mark.parametrize(
    "value",
    [{}, [1, 2.5, None, True], "text", 12345678901234567890123, {"a": {"b": ["é", "\U0001f600"]}}],
)
def test_json_is_read_as_it_is(value: Any, padding: str) -> None:
    assert read_input(json.dumps(value) + padding, name="input.json") == value


@pytest.mark.parametrize("padding", ["", PADDING], ids=["small", "large"])
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"a": NaN}', "json-syntax"),
        ('[Infinity, {"a": 1}]', "json-syntax"),
        ("[1e999]", "bad-number"),
        ("[" + "9" * 5000 + "]", "bad-number"),
        ('{"a": 1, "a": 2}', "duplicate-key"),
        ('["\\ud800"]', "unreadable-character"),
        ('{"\\udfff": 1}', "unreadable-character"),
        ('["\\u0000"]', "unreadable-character"),
        ("[" * 102 + "]" * 102, "too-deep"),
        ("[" * 50_000 + "]" * 50_000, "too-deep"),
        ('{"a": }', "json-syntax"),
    ],
)
def test_what_json_cannot_carry_is_refused(text: str, rule: str, padding: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_input(text + padding, name="input.json")
    assert [problem.rule for problem in caught.value.problems] == [rule]


def test_yaml_is_an_input_too() -> None:
    assert read_input("a: on\nb: [1, 2]\n", name="-") == {"a": "on", "b": [1, 2]}
    assert read_input("a: on\n" + "# comment\n" * 8_000, name="-") == {"a": "on"}


def test_a_large_json_input_may_be_larger_than_a_document() -> None:
    value = {"rows": ["x" * 1000] * 5_000}
    assert read_input(json.dumps(value), name="input.json") == value


def test_bytes_are_decoded() -> None:
    assert read_input(b'{"a": "\xc3\xa9"}', name="input.json") == {"a": "é"}
