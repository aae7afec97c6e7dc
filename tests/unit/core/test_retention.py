"""How long ended executions are kept."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.reading import InvalidDocument, read_document
from flunq.core.retention import (
    FOR_EVER,
    Retention,
    RetentionError,
    read_retention,
    retention_for,
    retention_of,
    share_of,
)

DAY = 86_400_000_000
DOCUMENT = """
document:
  {dsl: 1.0.3, namespace: test, name: kept, version: 1.0.0, metadata: {retention: %s}}
do: [{x: {set: {n: 1}}}]
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, FOR_EVER),
        ({"keep": 10}, Retention(keep=10)),
        ({"after": {"days": 2}}, Retention(after=2 * DAY)),
        ({"after": "P1D", "keep": 0}, Retention(after=DAY, keep=0)),
    ],
)
def test_a_retention_is_read(value: Any, expected: Retention) -> None:
    assert read_retention(value) == expected
    assert read_retention(value).is_for_ever == (expected == FOR_EVER)


@pytest.mark.parametrize(
    "value", [3, [], {"kep": 1}, {"keep": -1}, {"keep": 1.5}, {"keep": True}, {"after": "soon"}]
)
def test_what_is_none_is_refused(value: Any) -> None:
    with pytest.raises(RetentionError):
        read_retention(value)


@pytest.mark.parametrize(
    "document", [None, {}, {"document": 3}, {"document": {"metadata": 3}}, {"document": {}}]
)
def test_a_document_need_not_say_anything(document: Any) -> None:
    assert retention_of(document) is None


def test_a_document_says_it_in_its_metadata() -> None:
    document = read_document(DOCUMENT % "{after: {days: 1}}", name="x")
    assert retention_of(document.value) == Retention(after=DAY)


def test_validation_points_at_a_retention_that_cannot_be_used() -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_document(DOCUMENT % "{kep: 3}", name="x")
    (problem,) = caught.value.problems
    assert (problem.rule, problem.line) == ("retention", 3)
    assert "has no 'kep'" in problem.message


def test_settings_are_in_seconds() -> None:
    assert retention_for(1.5, 3) == Retention(after=1_500_000, keep=3)
    assert retention_for(None, None) == FOR_EVER


@pytest.mark.parametrize(("keep", "share"), [(0, 0), (1, 1), (8, 1), (9, 2), (1000, 125)])
def test_partitions_together_keep_at_least_the_number(keep: int, share: int) -> None:
    assert share_of(keep, 8) == share
