"""Horizontal bars of a timeline, to the half cell."""

from __future__ import annotations


def bar(start: int, end: int, low: int, high: int, width: int) -> tuple[int, str]:
    """Return where a bar begins and its text, for a span of time drawn on ``width`` cells."""
    if width <= 0:
        return 0, ""
    halves = width * 2
    span = max(high - low, 1)
    first = min(max((start - low) * halves // span, 0), halves - 1)
    last = min(max(-(-(end - low) * halves // span), first + 1), halves)
    offset, odd = divmod(first, 2)
    text = ""
    if odd:
        text, first = "╺", first + 1
    whole, rest = divmod(last - first, 2)
    text += "━" * whole + ("╸" if rest else "")
    return offset, text
