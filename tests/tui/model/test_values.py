"""Folding, differences, forms, bars, rings and graphs."""

from __future__ import annotations

from typing import Any

import pytest

from flunq_tui.model.bars import bar
from flunq_tui.model.completing import QUERIES, completion
from flunq_tui.model.difference import differences
from flunq_tui.model.folding import MOST_CHILDREN, Folding, value_at
from flunq_tui.model.form import FieldError, fields_of, value_of
from flunq_tui.model.formats import age, duration, size
from flunq_tui.model.graph import nodes
from flunq_tui.model.rates import Series, sparkline
from flunq_tui.model.ring import Ring
from flunq_tui.model.yaml_looks import looks_of
from tests.support.driver import document
from tests.support.monitor import definition


def texts(folding: Folding) -> list[str]:
    return [f"{line.key} {line.text}".strip() for line in folding.lines]


def test_a_value_folds_and_unfolds() -> None:
    folding = Folding({"a": [1, {"b": None}], "c": "x"})
    assert texts(folding) == ["{", "a [", "1", "{", "b null", "}", "]", 'c "x"', "}"]
    folding.toggle("/a")
    assert texts(folding) == ["{", "a [ 2 ]", 'c "x"', "}"]
    folding.toggle("/a")
    folding.fold_all()
    assert texts(folding) == ["{", "a [ 2 ]", 'c "x"', "}"]
    folding.unfold_all()
    assert len(folding.lines) == 9


def test_long_arrays_show_their_beginning_until_asked() -> None:
    folding = Folding(list(range(10_000)))
    assert len(folding.lines) == MOST_CHILDREN + 3
    folding.toggle("/…")
    assert len(folding.lines) == 10_002


def test_nesting_without_end_is_folded() -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    assert len(Folding(value).lines) < 200


def test_searching_goes_round() -> None:
    folding = Folding({"a": "needle", "b": "x", "needle": 1})
    assert folding.find("needle", 1) == 3
    assert folding.find("needle", 3) == 1
    assert folding.find("absent", 0) is None


def test_pointers_lead_to_their_values() -> None:
    value = {"a/b": [{"~": 7}]}
    assert value_at(value, "/a~1b/0/~0") == 7
    assert value_at(value, "/nothing/0") is None


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("-", ".a: 1"), ("+", ".a: 2")]),
        ({"a": 1}, {"b": 1}, [("-", ".a: 1"), ("+", ".b: 1")]),
        ([1, 2], [1, 3, 4], [("-", "[1]: 2"), ("+", "[1]: 3"), ("+", "[2]: 4")]),
        ({"a": {"b": []}}, {"a": {"b": {}}}, [("-", ".a.b: []"), ("+", ".a.b: {}")]),
        (1, True, [("-", ".: 1"), ("+", ".: true")]),
    ],
)
def test_differences_name_their_places(
    before: Any, after: Any, lines: list[tuple[str, str]]
) -> None:
    found = [line for each in differences(before, after) for line in each.lines()]
    assert found == lines


SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer", "default": 3},
        "ratio": {"type": "number"},
        "loud": {"type": "boolean"},
        "size": {"enum": ["s", "l"]},
        "more": {"type": ["array", "null"]},
    },
}


def test_a_form_has_a_field_for_each_member() -> None:
    found = {each.name: each.kind for each in fields_of(SCHEMA)}
    assert found == {
        "name": "string",
        "count": "integer",
        "ratio": "number",
        "loud": "choice",
        "size": "choice",
        "more": "json",
    }


def test_texts_become_a_value() -> None:
    given = {"name": "x", "count": "4", "ratio": "0.5", "loud": "true", "size": "l", "more": "[1]"}
    value = value_of(fields_of(SCHEMA), given)
    assert value == {"name": "x", "count": 4, "ratio": 0.5, "loud": True, "size": "l", "more": [1]}
    assert value_of(fields_of(SCHEMA), {"name": "x"}) == {"name": "x"}


@pytest.mark.parametrize(
    ("texts_", "field"),
    [({"name": "x", "count": "many"}, "count"), ({"name": "x", "size": "m"}, "size")],
)
def test_a_wrong_text_names_its_field(texts_: dict[str, str], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        value_of(fields_of(SCHEMA), texts_)
    assert caught.value.field == field


def test_without_a_schema_the_value_is_json() -> None:
    (field,) = fields_of(None)
    assert value_of([field], {"": "[1, 2]"}) == [1, 2]


@pytest.mark.parametrize(
    ("start", "end", "drawn"),
    [
        (0, 100, (0, "━" * 10)),
        (0, 0, (0, "╸")),
        (50, 60, (5, "━")),
        (5, 10, (0, "╺")),
        (99, 100, (9, "╺")),
    ],
)
def test_bars_to_the_half_cell(start: int, end: int, drawn: tuple[int, str]) -> None:
    assert bar(start, end, 0, 100, 10) == drawn


def test_a_ring_keeps_the_newest_and_their_numbers() -> None:
    ring: Ring[int] = Ring(3)
    for number in range(5):
        ring.add(number * 10)
    assert (len(ring), ring.first, ring.get(1), ring.get(2), ring.get(4)) == (3, 2, None, 20, 40)
    ring.clear()
    ring.add(7)
    assert ring.get(ring.added - 1) == 7


def test_rates_are_counted_by_bucket() -> None:
    series = Series(1, 60)
    for moment in (0, 100_000, 1_000_000, 3_500_000):
        series.add(moment)
    assert series.values(3_900_000, 4) == [2, 1, 0, 1]
    assert sparkline([0, 1, 2], 3) == "▁▅█"


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(12_000, "12ms"), (3_400_000, "3.4s"), (125_000_000, "2m05s"), (12_000_000_000, "3h20m")],
)
def test_lengths_of_time(microseconds: int, text: str) -> None:
    assert duration(microseconds) == text


def test_ages_and_sizes() -> None:
    assert (age(1, 61_000_001), age(61_000_001, 1), size(2_048)) == ("1m", "in 1m", "2.0 KiB")


def test_a_graph_has_every_task_with_its_reference() -> None:
    found = {node.reference: node for node in nodes(definition().document)}
    assert found["/do/1/pay/try/0/charge"].kind == "call"
    assert found["/do/2/pack"].kind == "for"
    assert found["/do/2/pack/do/0/wrap"].depth == 1


def test_a_graph_shows_where_cases_go() -> None:
    text = "do: [{s: {switch: [{big: {when: '${ .n > 1 }', then: end}}]}}, {e: {set: {a: 1}}}]"
    found = {node.name: node for node in nodes(document(text))}
    assert (found["big"].goes, found["big"].note) == ("end", "${ .n > 1 }")


@pytest.mark.parametrize("line", ["  - name: 3 # x", "a: ${ .b }", "", "'x': \"y\"", "- [1, 2]"])
def test_looks_keep_every_character(line: str) -> None:
    assert "".join(text for text, _ in looks_of(line)) == line


@pytest.mark.parametrize(
    ("text", "rest"), [("sel", "ect"), ("SEL", "ECT"), ("from exec", "utions"), ("x", ""), ("", "")]
)
def test_words_of_a_query_are_completed(text: str, rest: str) -> None:
    assert completion(text) == rest


def test_queries_to_begin_with_have_titles() -> None:
    assert all(title and sql.startswith("select") for title, sql in QUERIES)
