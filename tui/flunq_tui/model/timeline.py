"""When each task of an execution ran: bars below one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq_tui import theme
from flunq_tui.model.bars import bar
from flunq_tui.model.formats import duration
from flunq_tui.model.tree import span
from flunq_tui.text import fit, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq_tui.model.tree import Row
    from flunq_tui.widgets.json_pane import Plain

_LABEL = 22
_LEAST = 10
_TICK = 12
"""Cells between two marks of the scale."""


def timeline(rows: Sequence[Row], now: int, width: int, selected: int) -> list[Plain]:
    """Return the scale and a bar for each task, as wide as there is room."""
    low, high = span(rows, now)
    label = min(_LABEL, max(width // 3, 6))
    room = max(width - label - 10, _LEAST)
    lines: list[Plain] = [((" " * (label + 1), ""), (_scale(high - low, room), "dim"))]
    for row in rows:
        end = now if row.end is None else row.end
        offset, text = bar(row.start, end, low, high, room)
        style = theme.style_of(row.status) or "run"
        look = "title" if row.step == selected else ""
        name = fit(f"{' ' * row.depth}{row.label}", label)
        took = duration(end - row.start) if row.start else ""
        rest = room - offset - len(text)
        lines.append(
            (
                (f"{name} ", look),
                (" " * offset, ""),
                (text, style),
                (f"{' ' * rest} {took}", "dim"),
            )
        )
    return lines


def _scale(length: int, room: int) -> str:
    """Return the marks of the scale, each where its time is."""
    text = ""
    for place in range(0, room, _TICK):
        mark = "0" if not place else duration(length * place // max(room - 1, 1))
        text = text.ljust(place) + f"|{mark}"
    return text[:room] if width_of(text) > room else text
