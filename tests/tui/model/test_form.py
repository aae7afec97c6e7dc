"""Forms made from schemas: sections, choices, defaults, and complaints that name their field."""

from __future__ import annotations

from typing import Any

import pytest

from flunq_tui.model.form import FieldError, complain, fields_of, says, texts_of, value_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["customer", "count"],
    "$defs": {"address": {"type": "object", "properties": {"city": {"type": "string"}}}},
    "properties": {
        "customer": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 2},
                "address": {"$ref": "#/$defs/address"},
            },
        },
        "gift": {
            "type": "object",
            "required": ["text"],
            "properties": {"text": {"type": "string"}, "wrap": {"type": "boolean"}},
        },
        "count": {"type": "integer", "minimum": 1, "default": 1},
        "size": {"enum": ["s", "l", 3, None]},
        "lines": {"type": "array"},
    },
}


def names() -> dict[str, str]:
    return {each.name: each.kind for each in fields_of(SCHEMA)}


def test_objects_inside_objects_become_sections() -> None:
    assert names() == {
        "customer.name": "string",
        "customer.address.city": "string",
        "gift.text": "string",
        "gift.wrap": "choice",
        "count": "integer",
        "size": "choice",
        "lines": "json",
    }


def test_limits_are_told() -> None:
    limits = {each.name: each.limits for each in fields_of(SCHEMA)}
    assert limits["customer.name"] == ">= 2 characters" and limits["count"] == ">= 1"


def test_a_value_is_put_together_again() -> None:
    value = {"customer": {"name": "Ada", "address": {"city": "Bonn"}}, "count": 2, "size": 3}
    fields = fields_of(SCHEMA)
    assert value_of(fields, texts_of(fields, value)) == value


def test_an_object_that_nobody_begins_is_left_out() -> None:
    fields = fields_of(SCHEMA)
    texts = {"customer.name": "Ada", "count": "1"}
    assert value_of(fields, texts) == {"customer": {"name": "Ada"}, "count": 1}
    begun = value_of(fields, {**texts, "gift.wrap": "true"})
    assert begun["gift"] == {"text": "", "wrap": True}


@pytest.mark.parametrize(
    ("text", "value"), [("s", "s"), ("3", 3), ("null", None)], ids=["text", "number", "null"]
)
def test_choices_have_the_types_of_the_schema(text: str, value: Any) -> None:
    fields = fields_of(SCHEMA)
    assert value_of(fields, {"count": "1", "size": text})["size"] == value


@pytest.mark.parametrize(
    ("texts", "field"),
    [({}, "count"), ({"count": "x"}, "count"), ({"count": "1", "lines": "["}, "lines")],
)
def test_what_is_missing_or_wrong_names_its_field(texts: dict[str, str], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        value_of(fields_of(SCHEMA), texts)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"customer": {"name": "A"}, "count": 1}, "customer.name"),
        ({"customer": {"name": "Ada"}, "count": 0}, "count"),
        ({"count": 1}, ""),
    ],
)
def test_the_schema_has_the_last_word(value: Any, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        complain(SCHEMA, value)
    assert caught.value.field == field and caught.value.problem


@pytest.mark.parametrize(
    "schema", [None, 3, {"$ref": "https://example.com/x.json"}, {"type": "no such type"}]
)
def test_a_schema_that_cannot_be_used_here_complains_about_nothing(schema: Any) -> None:
    complain(schema, {"a": 1})
    assert fields_of(schema)[0].kind == "json"


def test_a_schema_that_contains_itself_ends() -> None:
    node: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert [each.kind for each in fields_of(node)] == ["json"]
    assert max(len(each.path) for each in fields_of(node)) < 10


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"count": 2, "customer": {"name": "Ada"}}, True),
        ({"count": 2}, True),
        ({"count": 2, "colour": "red"}, False),
        ({"count": 2, "customer": {"name": "Ada", "age": 3}}, False),
        ({"count": "two"}, False),
        ({"count": 2, "gift": {"text": None}}, False),
        ({"size": "xl"}, False),
        (["count"], False),
    ],
)
def test_what_fields_cannot_say_is_noticed(value: Any, said: bool) -> None:
    assert says(fields_of(SCHEMA), value) is said


def test_a_text_as_default_of_any_value_is_json() -> None:
    fields = fields_of({"properties": {"kind": {"const": "order"}}})
    assert value_of(fields, {each.name: each.default for each in fields}) == {"kind": "order"}


def test_whole_numbers_stay_whole() -> None:
    fields = fields_of({"properties": {"amount": {"type": "number"}}})
    found = [value_of(fields, {"amount": text})["amount"] for text in ("5", "5.0", "1e3")]
    assert [str(each) for each in found] == ["5", "5.0", "1000.0"]
