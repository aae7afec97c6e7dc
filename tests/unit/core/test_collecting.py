"""What the metadata of a document say about collecting starts."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.collecting import (
    CollectingError,
    GroupKeyError,
    collecting_of,
    execution_of,
    group_of,
    is_collected,
    route_of,
)
from flunq.core.execution.commands import Start, WorkflowRef
from flunq.core.ids import is_valid_id, partition_of
from flunq.core.reading import check_document

HEAD = (
    "document: {dsl: 1.0.3, namespace: n, name: w, version: 1.0.0, metadata: {METADATA}}\ndo: []\n"
)
REF = WorkflowRef(namespace="n", name="w", version="1.0.0", digest="d1")
SECOND = 1_000_000


def rule(**value: Any) -> Any:
    return collecting_of({"document": {"metadata": {"start": value}}})


def test_debounce_is_read() -> None:
    found = rule(debounce={"key": "${ .customer }", "for": "PT5S", "max": "PT1M"})
    assert (found.kind, found.wait, found.longest) == ("debounce", 5 * SECOND, 60 * SECOND)
    assert found.key_of({"customer": "c1"}) == "c1"
    assert rule(debounce={"for": "PT5S"}).longest == 50 * SECOND


def test_batch_is_read() -> None:
    found = rule(batch={"key": "all", "for": {"seconds": 2}, "size": 7})
    assert (found.kind, found.wait, found.size) == ("batch", 2 * SECOND, 7)
    assert found.key_of({"customer": "c1"}) == "all"
    assert rule(batch={"for": "PT2S"}).size == 100
    assert collecting_of({"document": {}}) is None


@pytest.mark.parametrize(
    ("metadata", "where"),
    [
        ("start: 5", ""),
        ("start: {}", ""),
        ("start: {wait: {for: PT1S}}", ""),
        ("start: {batch: {for: PT1S}, debounce: {for: PT1S}}", ""),
        ("start: {batch: 5}", "/batch"),
        ("start: {batch: {size: 5}}", "/batch"),
        ("start: {batch: {for: soon}}", "/batch/for"),
        ("start: {batch: {for: P2D}}", "/batch/for"),
        ("start: {batch: {for: PT1S, size: 0}}", "/batch/size"),
        ("start: {batch: {for: PT1S, size: 10001}}", "/batch/size"),
        ("start: {batch: {for: PT1S, max: PT1M}}", "/batch/max"),
        ("start: {debounce: {for: PT5S, max: PT1S}}", "/debounce/max"),
        ("start: {debounce: {for: PT5S, key: 'a ${ .b }'}}", "/debounce/key"),
        ("start: {debounce: {for: PT5S, key: '${ .b | }'}}", "/debounce/key"),
        ("start: {debounce: {for: PT5S, key: '${ $context.b }'}}", "/debounce/key"),
        ("start: {debounce: {for: PT5S, key: '${ .a | test(\"x\") }'}}", "/debounce/key"),
    ],
)
def test_what_cannot_be_used_is_a_problem_with_its_place(metadata: str, where: str) -> None:
    (problem,) = check_document(HEAD.replace("METADATA", metadata), name="w.yaml")
    assert problem.path.startswith("/document/metadata/start" + where)
    assert (problem.rule, problem.line) == ("start", 1)


def test_without_a_key_all_starts_are_one_group() -> None:
    assert rule(batch={"for": "PT1S"}).key_of({"any": "thing"}) is None
    with pytest.raises(GroupKeyError):
        rule(batch={"for": "PT1S", "key": "${ .a.b }"}).key_of({"a": 5})
    with pytest.raises(CollectingError):
        rule(batch={"for": None})


@pytest.mark.parametrize("value", [{}, {"customer": None}])
def test_inputs_without_a_key_do_not_become_one_group(value: object) -> None:
    with pytest.raises(GroupKeyError, match="the input has none"):
        rule(debounce={"key": "${ .customer }", "for": "PT5S"}).key_of(value)


def test_the_execution_of_a_group_belongs_to_its_partition() -> None:
    for number in range(40):
        route = route_of(REF, {"customer": number})
        found = execution_of(route, "x1", 16)
        assert is_valid_id(found)
        assert partition_of(found, 16) == partition_of(route, 16)
        assert found == execution_of(route, "x1", 16) != execution_of(route, "x2", 16)


def test_each_version_has_groups_of_its_own_in_the_same_place() -> None:
    other = WorkflowRef(namespace="n", name="w", version="2.0.0", digest="d2")
    route = route_of(REF, "c1")
    assert route == route_of(other, "c1") != route_of(REF, "c2")
    assert group_of(REF, route) != group_of(other, route)


def test_children_and_forks_begin_by_themselves() -> None:
    assert is_collected(Start(id="x1", workflow=REF))
    assert not is_collected(Start(id="x1", workflow=REF, parent="p1"))
    assert not is_collected(Start(id="x1", workflow=REF, forked_from="x0"))
