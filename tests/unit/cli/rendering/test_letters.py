"""Filters of dead letters, and their bodies as people edit them."""

from __future__ import annotations

import pytest

from flunq.cli.rendering.letters import body_text, body_value, chosen, letter_json
from flunq.core.letters import Letter
from flunq.errors import UsageError

LETTERS = [
    Letter(id="1", time="", origin="task", reason="its process died", execution="e1"),
    Letter(id="2", time="", origin="input", reason="it cannot be read"),
    Letter(id="3", time="", origin="task", reason="a=b", kind="http"),
]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], "123"),
        (["origin=task"], "13"),
        (["origin=task", "reason~died"], "1"),
        (["reason=a=b"], "3"),
        ([" kind = http "], "3"),
        (["execution="], "23"),
        (["reason~"], "123"),
    ],
)
def test_filters_leave_what_meets_all_of_them(filters: list[str], found: str) -> None:
    assert "".join(letter.id for letter in chosen(LETTERS, filters)) == found


@pytest.mark.parametrize("wrong", ["", "origin", "size=3", "=x", "body~x"])
def test_what_is_no_filter_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="no filter"):
        list(chosen(LETTERS, [wrong]))


@pytest.mark.parametrize(
    ("body", "value", "shown"),
    [('{"a":1}', {"a": 1}, '{\n  "a": 1\n}\n'), ("[{", "[{", "[{"), (None, None, "")],
)
def test_a_body_is_shown_as_json_where_it_is_json(body: str, value: object, shown: str) -> None:
    letter = Letter(id="1", time="", origin="task", reason="", body=body)
    assert (body_value(letter), body_text(letter)) == (value, shown)
    assert letter_json(letter)["body"] == value
