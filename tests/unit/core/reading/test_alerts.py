"""Alert rules as people write them, and what they are told when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from flunq.core.alerts import SECOND
from flunq.core.reading.alerts import read_alerts
from flunq.core.reading.problems import InvalidDocument

EXAMPLES = sorted((Path(__file__).parents[4] / "examples/alerts").glob("*.yaml"))
RULE = """\
alerts:
  - name: slow
    query: select 1
    {member}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        read_alerts(text, name="a.yaml")
    return [problem.text("a.yaml") for problem in caught.value.problems]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    assert read_alerts(path.read_bytes(), name=path.name).rules


def test_lengths_of_time_are_written_as_in_documents() -> None:
    text = RULE.format(member="every: PT30S\n    for: {minutes: 2}\n    cooldown: {hours: 1}")
    (rule,) = read_alerts(text, name="a.yaml").rules
    assert (rule.every, rule.hold) == (30 * SECOND, 120 * SECOND)
    assert rule.cooldown == 3600 * SECOND


@pytest.mark.parametrize(
    ("member", "place", "words"),
    [
        ("evry: PT1S", "4:5", "did you mean 'every'"),
        ("every: PT0S", "4:12", "at least a second"),
        ("every: soon", "4:12", "not an ISO 8601 duration"),
        ("when: .x", "4:5", "means nothing in a rule with 'query'"),
        ("webhook: {url: 'ftp://x'}", "4:20", "http or https address"),
        ("on: {type: x}", "2:5", "a rule has a query, or says with 'on'"),
    ],
)
def test_a_problem_is_told_at_its_place(member: str, place: str, words: str) -> None:
    (line,) = problems(RULE.format(member=member))
    assert line.startswith(f"a.yaml:{place}: ")
    assert words in line


def test_a_condition_is_checked_to_the_letter() -> None:
    text = "alerts:\n  - name: a\n    on: {type: x}\n    when: .data.n == | 3\n"
    assert problems(text) == [
        "a.yaml:4:22: not a valid expression: unexpected '|', expected a value [expression-syntax]"
    ]
    assert "unknown variable $other" in problems(text.replace("== | 3", "== $other"))[0]


def test_a_name_is_used_once() -> None:
    twice = RULE.format(member="every: PT1S") + "  - {name: slow, query: select 2}\n"
    assert "already defined on line 2" in problems(twice)[0]
