"""``flunq expr`` as a user types it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Flunq


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (".a + 1", 3),
        ("${ .a }", 2),
        ('"\\(.a) apples"', "2 apples"),
        ("{twice: (.a * 2)}", {"twice": 4}),
        ("reduce range(5) as $i (0; . + $i)", 10),
        (".missing", None),
    ],
)
def test_an_expression_has_a_value(expression: str, value: object, flunq: Flunq) -> None:
    shown = flunq("expr", expression, "-i", '{"a": 2}', "-o", "json")
    assert shown.code == 0, shown.err
    assert shown.json == value


def test_without_a_format_the_value_is_still_json(flunq: Flunq) -> None:
    assert flunq("expr", '"text"').out == '"text"\n'


def test_variables_are_given_by_name(flunq: Flunq) -> None:
    shown = flunq("expr", "$context.user", "--var", 'context={"user": "Ada"}')
    assert shown.out == '"Ada"\n'


def test_input_may_come_from_stdin_or_a_file(flunq: Flunq, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"a": 1}')
    assert flunq("expr", ".a", "-i", "-", stdin='{"a": 2}').out == "2\n"
    assert flunq("expr", ".a", "-i", "@in.json").out == "1\n"


def test_bad_syntax_names_the_column(flunq: Flunq) -> None:
    shown = flunq("expr", ".a +")
    assert shown.code == 3
    assert "(column " in shown.err


def test_a_failing_expression_is_rejected_with_its_reason(flunq: Flunq) -> None:
    shown = flunq("expr", '.a + {"b": 1}', "-i", '{"a": "x"}', "-o", "json")
    assert shown.code == 3
    assert "cannot be added" in shown.json["detail"]


@pytest.mark.parametrize("expression", ["env", "$ENV.HOME", "input_filename", "halt"])
def test_the_outside_is_out_of_reach(expression: str, flunq: Flunq) -> None:
    shown = flunq("expr", expression, environ={"HOME": "/very/secret"})
    assert shown.code == 3 or shown.out == "null\n"
    assert "/very/secret" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        (".a +", ["  .a +", "      ^"]),
        ("${ .a ++ }", ["  ${ .a ++ }", "         ^"]),
        ('"é" | nonsense', ['  "é" | nonsense', "        ^"]),
        (".a\n| b(", ["  | b(", "      ^"]),
    ],
)
def test_a_caret_shows_the_mistake(expression: str, lines: list[str], flunq: Flunq) -> None:
    shown = flunq("expr", expression)
    assert shown.code == 3
    assert shown.err.splitlines()[1:3] == lines


def test_a_mistake_far_away_is_still_shown(flunq: Flunq) -> None:
    shown = flunq("expr", "." + "a" * 500 + " | nonsense")
    _, excerpt, caret, *_ = shown.err.splitlines()
    assert len(excerpt) < 130
    assert excerpt[caret.index("^") :] == "nonsense"


def test_json_has_no_excerpt(flunq: Flunq) -> None:
    shown = flunq("expr", ".a +", "-o", "json")
    assert shown.json["where"] == "column 5"
    assert "\n" not in shown.json["detail"]


def test_functions_are_listed_with_their_tier(flunq: Flunq) -> None:
    rows = {row["function"]: row for row in flunq("expr", "--list", "-o", "json").json}
    assert rows["map(f)"]["tier"] == "fast"
    assert rows["test(regex)"]["tier"] == "child"
    assert rows["env"] == {
        "function": "env",
        "tier": "refused",
        "description": "the environment is out of reach",
    }
    shown = flunq("expr", "--list").out.splitlines()
    assert shown[0].split() == ["FUNCTION", "TIER", "DESCRIPTION"]
    assert len(shown) == len(rows) + 1


def test_secrets_are_given_by_name(flunq: Flunq) -> None:
    secrets = 'secrets={"api": {"token": "t"}}'
    assert flunq("expr", "$secrets.api.token", "--var", secrets).out == '"t"\n'


def test_an_expression_is_needed(flunq: Flunq) -> None:
    assert flunq("expr").code == 2
