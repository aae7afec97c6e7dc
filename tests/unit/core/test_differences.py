"""Differences of two JSON values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flunq.core.differences import MOST, differences, is_same

UNSET = msgspec.UNSET
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (1, 1.0, []),
        (1, True, [(".", 1, True)]),
        ({"a": 1}, {"a": 2}, [(".a", 1, 2)]),
        ({"a": 1}, {}, [(".a", 1, UNSET)]),
        ({}, {"a": None}, [(".a", UNSET, None)]),
        ([1, 2], [1], [("[1]", 2, UNSET)]),
        ([], {}, [(".", [], {})]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [(".a[0].b", 1, 2)]),
        ({"a b": 1}, {"a b": 2}, [('["a b"]', 1, 2)]),
        ({"x": 1, "a": 1}, {"b": 2, "x": 2}, [(".x", 1, 2), (".a", 1, UNSET), (".b", UNSET, 2)]),
    ],
)
def test_each_place_is_named_as_an_expression_would(before: Any, after: Any, found: Any) -> None:
    assert [(d.path, d.before, d.after) for d in differences(before, after)] == found


def test_a_long_list_of_differences_is_cut() -> None:
    assert len(differences(list(range(9_999)), [])) == MOST


def test_deep_values_need_no_deep_stack() -> None:
    one: Any = 1
    other: Any = 2
    for _ in range(50_000):
        one, other = [one], [other]
    assert len(differences(one, other)) == 1


@given(VALUES)
def test_a_value_is_the_same_as_itself(value: Any) -> None:
    assert is_same(value, msgspec.json.decode(msgspec.json.encode(value)))


@given(VALUES, VALUES)
def test_differences_are_found_both_ways(one: Any, other: Any) -> None:
    there = {(d.path, repr(d.before)) for d in differences(one, other)}
    back = {(d.path, repr(d.after)) for d in differences(other, one)}
    assert there == back
