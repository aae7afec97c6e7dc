"""How many paths lead through a schema: the quick answer agrees with counting them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.core.document.schema_cost import FEW_PATHS, Cost, TooCostlyError
from flunq.resources import load_schema

URI = "bundled:///document"
NAMES = ("a", "b")


def is_simple(schema: Any) -> bool:
    return Cost(schema, URI, {}).is_simple


PARTS = {
    "list": {"properties": {"next": {"$ref": "#"}}},
    "tree": {"properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}},
    "rest": {"properties": {"l": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}},
    "items": {"type": "array", "items": {"$ref": "#"}},
    "tuple": {"prefixItems": [{"$ref": "#"}], "items": {"$ref": "#"}},
    "choice": {"anyOf": [{"type": "null"}, {"properties": {"next": {"$ref": "#"}}}]},
    "choices": {
        "oneOf": [{"properties": {"l": {"$ref": "#"}}}, {"properties": {"r": {"$ref": "#"}}}]
    },
}


@pytest.mark.parametrize("name", PARTS)
def test_each_part_of_a_value_is_reached_once(name: str) -> None:
    assert is_simple(PARTS[name])


@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"$ref": "#"}, "contains": {"$ref": "#"}},
        {"properties": {"a": {"$ref": "#"}}, "patternProperties": {"^a": {"$ref": "#"}}},
        {"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]},
        {"allOf": [{"$ref": "#/$defs/x"}] * 2, "$defs": {"x": {"items": {"$ref": "#"}}}},
        {"properties": {"a": {"$ref": "#"}}, "unevaluatedProperties": False},
        {"allOf": [{"$ref": "#"}]},
        {"items": {"anyOf": [{"$ref": "#"}, {"items": {"$ref": "#/items"}}]}},
    ],
)
def test_a_recursion_that_is_entered_twice_is_not_simple(schema: Any) -> None:
    assert not is_simple(schema)


def test_many_paths_are_not_simple() -> None:
    levels = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(12)}
    assert not is_simple({"$ref": "#/$defs/a0", "$defs": {**levels, "a12": {"type": "null"}}})


def test_a_value_is_counted_where_the_schema_is_not_simple() -> None:
    cost = Cost({"items": {"$ref": "#"}, "contains": {"$ref": "#"}}, URI, {})
    value: Any = [1]
    cost.check([value, value])
    for _ in range(60):
        value = [value]
    with pytest.raises(TooCostlyError):
        cost.check(value)


def test_the_schema_of_the_language_can_check_small_documents() -> None:
    cost = Cost(load_schema("workflow"), URI, {})
    document = {"document": {"dsl": "1.0.3"}, "do": [{"a": {"do": [{"b": {"set": {"x": 1}}}]}}]}
    cost.check(document)


references = st.sampled_from(["#", "#/$defs/a", "#/$defs/b"]).map(lambda ref: {"$ref": ref})


def combined(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from(NAMES), children, max_size=2)
    keywords = {
        "anyOf": st.lists(children, min_size=1, max_size=2),
        "not": children,
        "properties": members,
        "additionalProperties": children,
        "items": children,
    }
    return st.fixed_dictionaries({}, optional=keywords)


schemas = st.recursive(references | st.just({"type": "null"}), combined, max_leaves=6)
values = st.recursive(
    st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


@given(schemas, schemas, schemas, values)
def test_few_paths_mean_few_looks(root: Any, a: Any, b: Any, value: Any) -> None:
    schema = {**root, "$defs": {"a": a, "b": b}}
    if is_simple(schema):
        assert looks(schema, schema, value, depth=0) <= FEW_PATHS * parts_of(value)


def looks(root: Any, node: Any, value: Any, depth: int) -> int:
    """Count one by one; a simple schema never goes in circles at one place."""
    assert depth < 500
    below = [(node[key], value) for key in ("not",) if key in node]
    below += [(part, value) for part in node.get("anyOf", ())]
    if "$ref" in node:
        target = root if node["$ref"] == "#" else root["$defs"][node["$ref"][-1]]
        below.append((target, value))
    if isinstance(value, list) and "items" in node:
        below += [(node["items"], item) for item in value]
    if isinstance(value, dict):
        named = node.get("properties", {})
        below += [(named[name], value[name]) for name in named.keys() & value.keys()]
        if "additionalProperties" in node:
            rest = value.keys() - named.keys()
            below += [(node["additionalProperties"], value[name]) for name in rest]
    return 1 + sum(looks(root, part, item, depth + 1) for part, item in below)


def parts_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(parts_of(item) for item in inner)
