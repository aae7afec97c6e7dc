"""Curves as a picture: one small panel for each, SVG without any help."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_COLUMNS = 2
_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 20, 20, 52, 34
_HEADROOM = 1.15
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.axis{stroke:#999}"
    ".curve{fill:none;stroke:#0b6e99;stroke-width:2}.point{fill:#0b6e99}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.curve{stroke:#6cc4ee}.point{fill:#6cc4ee}}"
)


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One panel: values over a few chosen sizes, evenly spaced."""

    title: str
    unit: str
    points: tuple[tuple[str, float], ...]


def svg(curves: Sequence[Curve]) -> str:
    """Return the picture."""
    rows = -(-len(curves) // _COLUMNS)
    width, height = _COLUMNS * _WIDTH, rows * _HEIGHT
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<style>{_STYLE}</style>",
            *(line for number, curve in enumerate(curves) for line in _panel(number, curve)),
            "</svg>",
            "",
        )
    )


def _panel(number: int, curve: Curve) -> Iterator[str]:
    row, column = divmod(number, _COLUMNS)
    yield f'<g transform="translate({column * _WIDTH} {row * _HEIGHT})">'
    yield _text(_LEFT, 20, curve.title, "title")
    yield _text(_LEFT, 36, curve.unit)
    base = _HEIGHT - _BOTTOM
    yield f'<path class="axis" d="M{_LEFT} {base}H{_WIDTH - _RIGHT}"/>'
    places = [(x, y) for x, y in _places([value for _, value in curve.points])]
    yield f'<polyline class="curve" points="{" ".join(f"{x},{y}" for x, y in places)}"/>'
    for (label, value), (x, y) in zip(curve.points, places, strict=True):
        yield f'<circle class="point" cx="{x}" cy="{y}" r="3.5"/>'
        yield _text(x, y - 9, f"{value:,.0f}", middle=True)
        yield _text(x, base + 18, label, middle=True)
    yield "</g>"


def _places(values: Sequence[float]) -> Iterable[tuple[float, float]]:
    """Return where the points lie; the axis begins at zero."""
    most = max(values, default=0.0) * _HEADROOM or 1.0
    room, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    for number, value in enumerate(values):
        x = _LEFT + room * (number + 0.5) / len(values)
        yield round(x, 1), round(_HEIGHT - _BOTTOM - height * value / most, 1)


def _text(x: float, y: float, content: str, kind: str = "", *, middle: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{round(y, 1)}"{named}{anchor}>{escape(content)}</text>'
