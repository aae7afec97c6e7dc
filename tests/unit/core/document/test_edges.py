"""The ways through a document, and its outline."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from flunq.core.document.edges import edges
from flunq.core.document.outline import nodes

GRAPH = """
- f:
    fork:
      branches:
      - a: {set: 1}
      - b: {set: 1, metadata: {needs: [a]}}
      - c: {set: 1, metadata: {needs: [a, b]}}
- after: {set: 1}
"""


def ways(text: str) -> list[str]:
    found = edges({"do": yaml.safe_load(text)})
    return [
        f"{last(e.source)}>{last(e.target)}" + (f":{e.label}" if e.label else "") for e in found
    ]


def last(reference: str) -> str:
    return reference.rpartition("/")[2]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[]", ["begin>end"]),
        ("[{a: {set: 1}}, {b: {set: 1}}]", ["begin>a", "a>b", "b>end"]),
        ("[{a: {set: 1, then: end}}, {b: {set: 1}}]", ["begin>a", "a>end", "b>end"]),
        (
            "[{a: {set: 1}}, {b: {set: 1, then: a}}, {c: {set: 1}}]",
            ["begin>a", "a>b", "b>a", "c>end"],
        ),
        (
            "[{s: {switch: [{x: {when: '.x', then: b}}]}}, {a: {set: 1}}, {b: {set: 1}}]",
            ["begin>s", "s>b:x", "s>a:otherwise", "a>b", "b>end"],
        ),
        (
            "[{d: {do: [{a: {set: 1, then: exit}}, {b: {set: 1}}]}}, {c: {set: 1}}]",
            ["begin>d", "d>a", "a>c", "b>c", "c>end"],
        ),
        (
            "[{l: {for: {in: .x}, do: [{a: {set: 1}}]}}]",
            ["begin>l", "l>a:each", "a>l", "l>end:done"],
        ),
        (
            "[{t: {try: [{a: {set: 1}}], catch: {do: [{h: {set: 1}}]}}}]",
            ["begin>t", "t>a", "t>catch:error", "catch>h", "a>end", "h>end"],
        ),
        (GRAPH, ["begin>f", "f>a", "a>b", "a>c", "b>c", "c>after", "after>end"]),
    ],
)
def test_the_ways_follow_the_flow(text: str, found: list[str]) -> None:
    assert ways(text) == found


def test_the_outline_tells_what_a_branch_needs() -> None:
    found = {node.name: node.needs for node in nodes({"do": yaml.safe_load(GRAPH)})}
    assert found == {"f": (), "a": (), "b": ("a",), "c": ("a", "b"), "after": ()}


def test_metadata_of_other_tasks_mean_nothing() -> None:
    [node] = nodes({"do": [{"a": {"set": 1, "metadata": {"needs": ["b"]}}}]})
    assert node.needs == ()


@pytest.mark.parametrize(
    "do", [None, 1, [1], [{"a": 1}], [{"f": {"fork": 1}}], [{"t": {"try": 1}}]]
)
def test_what_is_no_document_is_drawn_as_far_as_it_is_one(do: Any) -> None:
    assert edges({"do": do})
    assert len(nodes({"do": do})) <= 1
    assert msgspec.json.encode(edges({"do": do}))
