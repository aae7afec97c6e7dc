"""Properties of reading: nothing is lost, places are right, nothing but a problem comes out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from flunq.core.reading import InvalidDocument, check_document, digest_of, read_input, read_source
from flunq.core.reading.pointers import child, join, split

if TYPE_CHECKING:
    from collections.abc import Iterator

CHARACTERS = st.characters(
    exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\x85\u2028\u2029"
)
NUMBER = re.compile(r"[-+]?(0o[0-7]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)")
"""Of YAML 1.2; PyYAML writes version 1.1, where some of these are texts without quotes."""
TEXTS = st.text(CHARACTERS, max_size=12).filter(lambda text: not NUMBER.fullmatch(text))
KEYS = TEXTS.filter(bool)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
FRAGMENTS = st.sampled_from(
    ["document", "do", "a", "- ", ": ", "{", "}", "[", "]", ",", "\n", "  ", "&x ", "*x", "|\n ",
     "'", '"', "#", "!", "%", "?", "call", "wait", "set", "${ .a }", "${", "1.0", "null", "---\n"]
)  # fmt: skip


def places(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every pointer of a value with what it names."""
    yield pointer, value
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, child(pointer, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from places(part, child(pointer, index))


@given(VALUES, st.sampled_from([None, 2]))
def test_json_comes_back_as_it_was(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=indent is None)
    read = read_source(text, name="a.json").value
    assert json.dumps(read) == json.dumps(value)
    assert json.dumps(read_input(text, name="a.json")) == json.dumps(value)


@given(VALUES, st.booleans())
def test_yaml_comes_back_as_it_was(value: Any, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    assert digest_of(read_source(text, name="a.yaml").value) == digest_of(value)


@given(VALUES, st.sampled_from([None, 1, 4]))
def test_each_pointer_leads_to_the_text_of_its_value(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    source = read_source(text, name="a.json")
    lines = text.split("\n")
    for pointer, part in places(value):
        line, column = source.position(pointer)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert json.JSONDecoder().raw_decode(rest)[0] == part


@given(VALUES, st.sampled_from([None, 1]))
def test_each_key_is_where_it_is_said_to_be(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    source = read_source(text, name="a.json")
    for pointer, part in places(value):
        for key in part if isinstance(part, dict) else ():
            line, column = source.position(child(pointer, key), key=True)
            assert text.split("\n")[line - 1][column - 1 :].startswith(json.dumps(key))


@given(VALUES)
def test_yaml_and_json_agree_on_places_in_json(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    from_json = read_source(text, name="a.json")
    try:
        from_yaml = read_source("# yaml\n" + text, name="a.yaml")
    except InvalidDocument:
        return  # some of JSON is not YAML to libyaml, such as a long key
    for pointer, _ in places(from_json.value):
        line, column = from_json.position(pointer)
        assert from_yaml.position(pointer) == (line + 1, column)


@given(
    st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(max_size=60) | st.binary(max_size=60)
)
def test_any_text_is_a_value_or_a_problem(text: str | bytes) -> None:
    try:
        read_source(text, name="a.yaml")
    except InvalidDocument as invalid:
        assert all(problem.line >= 1 and problem.column >= 1 for problem in invalid.problems)


@given(st.text(max_size=60))
def test_any_text_called_json_is_a_value_or_a_problem(text: str) -> None:
    try:
        value = read_source(text, name="a.json").value
    except InvalidDocument:
        return
    assert json.loads(text.removeprefix("\ufeff")) == value


@given(VALUES)
def test_no_value_upsets_the_rules(value: Any) -> None:
    document = {"document": value, "use": value, "do": [{"a": value}, value], "schedule": value}
    assert check_document(json.dumps(document), name="a.json")


@given(st.lists(st.text(max_size=5) | st.integers(0, 9), max_size=5))
def test_pointers_split_as_they_were_joined(tokens: list[str | int]) -> None:
    assert split(join(tokens)) == [str(token) for token in tokens]
