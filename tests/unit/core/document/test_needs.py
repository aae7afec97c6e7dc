"""Graphs of branches."""

from __future__ import annotations

from typing import Any

import pytest

from flunq.core.document.needs import cycle_in, graph_of


def branches(**needs: Any) -> list[Any]:
    return [{name: {"set": 1, "metadata": {"needs": given}}} for name, given in needs.items()]


@pytest.mark.parametrize(
    ("needs", "graph"),
    [
        ({"a": [], "b": ["a"]}, ((), (0,))),
        ({"a": ["b", "b"], "b": []}, ((1,), ())),
        ({"a": [], "b": []}, ()),
        ({"a": ["a"]}, ()),
        ({"a": ["b"], "b": ["a"]}, ()),
        ({"a": ["nobody"]}, ()),
        ({"a": "b", "b": []}, ()),
        ({"a": [1], "b": []}, ()),
    ],
)
def test_names_become_indexes_and_what_is_no_graph_is_none(needs: Any, graph: Any) -> None:
    assert graph_of(branches(**needs)) == graph


@pytest.mark.parametrize(
    ("needs", "way"),
    [
        ([], []),
        ([[], [0], [0, 1]], []),
        ([[0]], [0, 0]),
        ([[1], [2], [0]], [0, 1, 2, 0]),
        ([[], [2, 0], [3], [2]], [2, 3, 2]),
    ],
)
def test_a_way_from_a_branch_back_to_itself_is_found(
    needs: list[list[int]], way: list[int]
) -> None:
    assert cycle_in(needs) == way


def test_branches_that_are_no_branches_are_passed_over() -> None:
    assert graph_of("nothing") == graph_of([1, {"a": 2}]) == ()
