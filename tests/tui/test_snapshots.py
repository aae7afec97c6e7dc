"""How a few views look in every theme; FLUNQ_UPDATE_GRIDS=1 writes the files anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.monitor import monitor, press, shop
from tests.support.pictures import assert_looks

SNAPSHOTS = Path(__file__).parent / "snapshots"
THEMES = ("textual-dark", "textual-light", "ansi-dark", "ansi-light")


@pytest.mark.parametrize("theme", THEMES)
async def test_looks(theme: str) -> None:
    update = bool(os.environ.get("FLUNQ_UPDATE_GRIDS"))
    async with monitor(shop(), (80, 12), theme=theme) as (app, pilot):
        assert_looks(app, SNAPSHOTS / f"executions-{theme}.svg", update=update)
        await press(pilot, "j", "enter")
        assert_looks(app, SNAPSHOTS / f"execution-{theme}.svg", update=update)


async def test_a_difference_in_colour_alone_fails(tmp_path: Path) -> None:
    path = tmp_path / "one.svg"
    async with monitor(shop(), (80, 12), theme="textual-dark") as (app, pilot):
        assert_looks(app, path, update=True)
        app.theme = "textual-light"
        await press(pilot)
        with pytest.raises(AssertionError, match=r"one\.svg"):
            assert_looks(app, path, update=False)
