"""Pictures of curves, and bars of progress."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from flunq.bench.bar import Bar
from flunq.bench.plot import Curve, svg

SVG = "{http://www.w3.org/2000/svg}"


def test_every_value_is_a_point_and_more_is_higher() -> None:
    curve = Curve(title="a < b", unit="steps", points=(("1", 10.0), ("2", 40.0), ("4", 20.0)))
    picture = ET.fromstring(svg([curve, curve, curve]))
    panels = picture.findall(f"{SVG}g")
    assert len(panels) == 3
    heights = [float(point.attrib["cy"]) for point in panels[0].findall(f"{SVG}circle")]
    assert heights[1] < heights[2] < heights[0]
    assert "a < b" in [text.text for text in panels[0].findall(f"{SVG}text")]


def test_a_curve_of_zeros_or_of_nothing_is_drawn_too() -> None:
    nothing = Curve(title="t", unit="u", points=())
    flat = Curve(title="t", unit="u", points=(("1", 0.0),))
    assert len(ET.fromstring(svg([nothing, flat])).findall(f"{SVG}g")) == 2


def test_a_bar_fills_and_is_not_drawn_more_often_than_anybody_sees() -> None:
    told: list[str] = []
    bar = Bar(told.append, 1_000)
    for _ in range(1_000):
        bar.advance()
    assert len(told) == 200
    assert told[99] == "[############------------] 500 of 1,000 executions"
    assert told[-1].startswith("[########################]")
