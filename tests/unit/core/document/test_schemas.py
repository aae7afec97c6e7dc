"""Schemas: dialects, formats, other documents, and what must not take for ever."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flunq.core.document.bundle import Bundled, Library, content_hash
from flunq.core.document.schemas import Schema, SchemaError


def library(**schemas: Any) -> Library:
    bodies = {f"file:{name}.json": msgspec.json.encode(value) for name, value in schemas.items()}
    table = {
        address: Bundled(sha256=content_hash(body), role="schema")
        for address, body in bodies.items()
    }
    return Library(table, {content_hash(body): body for body in bodies.values()})


def complaint(document: Any, value: Any, known: Library | None = None, **more: Any) -> str | None:
    return Schema({"document": document, **more}, known or library()).complaint(value)


def resource(name: str, known: Library) -> Schema:
    return Schema({"resource": {"endpoint": f"file://{name}.json"}}, known)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("email", "a@example.com", "nobody"),
        ("date-time", "2026-11-20T10:00:00Z", "tomorrow"),
        ("uri", "https://x", "a b"),
        ("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "1"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("of-my-own", "anything", None),
    ],
)
def test_formats_are_asserted(name: str, good: str, bad: str | None) -> None:
    schema = {"type": "string", "format": name}
    assert complaint(schema, good) is None
    assert bad is None or name in str(complaint(schema, bad))


def test_the_format_of_a_schema_may_name_its_dialect() -> None:
    tuple_of_draft_7 = {"items": [{"type": "integer"}]}
    assert complaint(tuple_of_draft_7, ["x"], format="json:draft-07") is not None
    assert complaint({"exclusiveMaximum": True, "maximum": 3}, 3, format="json:draft-04")
    own = {"$schema": "http://json-schema.org/draft-07/schema#", **tuple_of_draft_7}
    assert complaint(own, ["x"], format="json:2020-12") is not None


@pytest.mark.parametrize("form", ["avro", "xml:1", "json:draft-99", ""])
def test_an_unknown_format_is_an_error_of_the_schema(form: str) -> None:
    with pytest.raises(SchemaError, match="unknown"):
        complaint({}, 1, format=form)


def test_a_schema_of_a_resource_and_its_links() -> None:
    known = library(a={"items": {"$ref": "b.json#/$defs/n"}}, b={"$defs": {"n": {"minimum": 3}}})
    assert resource("a", known).complaint([3, 4]) is None
    assert "less than the minimum" in str(resource("a", known).complaint([3, 2]))


def test_schemas_may_refer_to_each_other_in_circles() -> None:
    known = library(
        a={"type": "object", "additionalProperties": {"$ref": "b.json"}},
        b={"anyOf": [{"type": "integer"}, {"$ref": "a.json"}]},
    )
    assert resource("a", known).complaint({"x": {"y": {"z": 1}}}) is None
    assert resource("a", known).complaint({"x": {"y": {"z": "no"}}}) is not None


def test_an_inline_schema_may_refer_to_a_resource() -> None:
    known = library(b={"type": "integer"})
    document = {"$defs": {"here": {"$ref": "b.json"}}, "items": {"$ref": "#/$defs/here"}}
    assert complaint(document, [1], known) is None
    assert complaint(document, ["x"], known) is not None


def test_links_within_parts_that_have_names() -> None:
    part = {"$id": "https://x/part.json", "$defs": {"n": {"minimum": 3}}, "$ref": "#/$defs/n"}
    document = {"$defs": {"p": part}, "$ref": "https://x/part.json"}
    assert complaint(document, 3) is None
    assert complaint(document, 2) is not None


@pytest.mark.parametrize(
    "definition",
    [
        {"resource": {"endpoint": "file://not-there.json"}},
        {"resource": {"endpoint": "ftp://x"}},
        {"document": {"$ref": "not-there.json"}},
        {"document": {"$ref": "https://example.com/x.json"}},
        {"document": {"$ref": "#/not/there"}},
        {"document": {"type": 3}},
        {"document": {"$schema": "https://example.com/dialect"}},
    ],
)
def test_what_was_not_registered_is_never_fetched(definition: Any) -> None:
    with pytest.raises(SchemaError):
        Schema(definition, library()).complaint(1)


def doubling(levels: int) -> dict[str, Any]:
    parts: dict[str, Any] = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)
    }
    parts[f"a{levels}"] = {"type": "integer"}
    return {"$defs": parts, "$ref": "#/$defs/a0"}


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def entered_twice(reference: str = "#") -> dict[str, Any]:
    branch = {"properties": {"a": {"$ref": reference}}}
    return {"anyOf": [{**branch, "minProperties": 9}, branch]}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubling(60), 1),
        (entered_twice(), nested(80)),
        ({"$dynamicAnchor": "t", **entered_twice("#t")}, nested(80)),
        ({"$id": "https://x/y", **entered_twice("https://x/y")}, nested(80)),
        ({"allOf": [entered_twice(), {"unevaluatedProperties": True}]}, nested(80)),
        ({"items": {"$ref": "#"}, "contains": {"$ref": "#"}}, None),
    ],
)
def test_schemas_that_would_take_for_ever_are_refused(schema: Any, value: Any) -> None:
    if value is None:
        value = 1
        for _ in range(80):
            value = [value]
    with pytest.raises(SchemaError, match=r"too many times|too large"):
        complaint(schema, value)


def test_the_same_schemas_are_fine_with_small_values() -> None:
    assert complaint(doubling(8), 1) is None
    assert complaint(entered_twice(), nested(6)) is None


def test_a_plain_recursion_may_be_used_on_large_values() -> None:
    tree = {"properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}, "additionalProperties": False}
    value: Any = {}
    for _ in range(14):
        value = {"l": value, "r": dict(value)}
    assert complaint(tree, value) is None
    chain = {"type": ["array", "null"], "items": {"$ref": "#"}}
    assert complaint(chain, [[[None] * 100_000]]) is None
