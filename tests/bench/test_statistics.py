"""Percentiles, sizes and the text of a report."""

from __future__ import annotations

import pytest

from flunq.bench.options import Sizes
from flunq.bench.report import Report, as_text, ratio
from flunq.bench.statistics import percentile, slope, spread


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100), (0.001, 1)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    share: float, expected: int
) -> None:
    assert percentile([*range(100, 0, -1)], share) == expected


def test_percentiles_of_one_value_and_of_none() -> None:
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) == 0.0
    assert spread([0.001], "x_")["x_p99_ms"] == 1.0


def test_the_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([0, 1, 2], [5, 7, 9]) == 2
    assert slope([1, 1], [5, 9]) == 0


def test_what_is_left_open_is_the_scenarios() -> None:
    given = Sizes(executions=3, steps=9)
    assert given.or_else(Sizes(executions=10, in_flight=5)) == Sizes(executions=3, in_flight=5)


def test_a_ratio_needs_a_known_limit() -> None:
    assert ratio("x", 6.0, {"limit": 2.0}, "limit") == {
        "figure": "x",
        "limit": "limit",
        "value": 3.0,
    }
    assert ratio("x", 6.0, {"limit": None}, "limit") is None
    assert ratio("x", 6.0, {}, "limit") is None


def test_the_text_shows_figures_limits_and_every_run() -> None:
    report = Report(
        scenario="start",
        durability="strict",
        machine={},
        sizes={"executions": 5},
        figures={"p50_ms": 1.25, "per": {"cpu": 3}},
        repeats=[1.25, 2.0],
        limits={"publish_ms": None},
        ratio={"figure": "p50_ms", "limit": "publish_ms", "value": 2.5},
    )
    text = as_text(report)
    assert text.startswith("start, strict: executions 5")
    assert "1.250" in text
    assert "p50_ms is 2.5 x publish_ms" in text
    assert "all runs: 1.25, 2" in text
