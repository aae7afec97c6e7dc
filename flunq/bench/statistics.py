"""Percentiles and medians of measurements."""

from __future__ import annotations

from statistics import linear_regression
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that ``share`` (0 to 1) of all values do not exceed."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))
    return ordered[place]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return by how much ``ys`` grow with ``xs``: the least squares line."""
    if len(set(xs)) < 2:
        return 0.0
    return linear_regression(xs, ys).slope


def spread(seconds: Sequence[float], prefix: str = "") -> dict[str, float]:
    """Return percentiles of durations in milliseconds."""
    return {
        f"{prefix}{name}_ms": round(percentile(seconds, share) * 1000, 3)
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
    }
