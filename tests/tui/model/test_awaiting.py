"""What an answer to a listener looks like: type, source, correlation, schema."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flunq_tui.model.awaiting import awaited, schema_of, task_at


def task(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def test_plain_attributes_are_taken_and_patterns_are_not() -> None:
    listen = task("listen: {to: {one: {with: {type: a.b, source: '/x.*', subject: s}}}}")
    (found,) = awaited(listen, None)
    assert (found.type, found.attributes) == ("a.b", {"source": "/flunq/tui", "subject": "s"})


def test_of_several_filters_each_is_an_event() -> None:
    listen = task("listen: {to: {any: [{with: {type: a}}, {with: {type: b}}]}}")
    assert [each.type for each in awaited(listen, None)] == ["a", "b"]


@pytest.mark.parametrize(
    ("correlate", "data"),
    [
        ("{k: {from: '${ .data.id }', expect: '${ .order }'}}", {"id": "o-1"}),
        ("{k: {from: '${ .data.a.b }', expect: fixed}}", {"a": {"b": "fixed"}}),
        ("{k: {from: '${ .data.id }'}}", {}),
        ("{k: {from: '${ .data.id | length }', expect: x}}", {}),
        ("{k: {from: '${ .data.id }', expect: '${ $unknown }'}}", {}),
        ("{k: {from: '${ .data.id }', expect: '${ ((( }'}}", {}),
        ("broken", {}),
    ],
)
def test_what_correlation_expects_is_filled_in(correlate: str, data: dict[str, Any]) -> None:
    listen = task(f"listen: {{to: {{one: {{with: {{type: a}}, correlate: {correlate}}}}}}}")
    (found,) = awaited(listen, {"order": "o-1"})
    assert found.data == data


@pytest.mark.parametrize(
    ("more", "schema"),
    [
        ("metadata: {schema: {type: object}}", {"type": "object"}),
        ("output: {schema: {document: {items: {type: string}}}}", {"type": "string"}),
        ("output: {as: '${ .[0] }', schema: {document: {items: {type: string}}}}", None),
        ("metadata: {schema: 3}", None),
        ("output: {schema: {document: {type: array}}}", None),
        ("", None),
    ],
)
def test_a_schema_of_the_data(more: str, schema: Any) -> None:
    listen = task(f"listen: {{to: {{one: {{with: {{type: a}}}}}}}}\n{more}")
    assert schema_of(listen) == schema


def test_whole_events_have_no_schema_of_data() -> None:
    text = "listen: {to: {one: {}}, read: envelope}\noutput: {schema: {document: {items: {}}}}"
    assert schema_of(task(text)) is None


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("/do/0/a~1b", 1),
        ("/do/1", None),
        ("/do/x", None),
        ("/nothing/0", None),
        ("/do/0/a~1b/c", None),
    ],
)
def test_places_of_a_document(reference: str, found: Any) -> None:
    assert task_at({"do": [{"a/b": 1}]}, reference) == found
