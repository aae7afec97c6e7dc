"""What is kept for the next time: filters, queries, columns, order, theme and the last view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq_tui.memory import Memory
from tests.support.monitor import monitor, press, screen_text, shop

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_filter_is_kept_by_name_and_taken_again(tmp_path: Path) -> None:
    file = tmp_path / "monitor.json"
    async with monitor(shop(), memory=Memory(file)) as (app, pilot):
        await press(pilot, "slash", *"order-2", "enter")
        app.run_command("save mine")
        await press(pilot)
    async with monitor(shop(), memory=Memory(file)) as (app, pilot):
        await press(pilot, "slash", "at", *"mine", "enter")
        assert app.view.filter_text == "order-2"
        assert "order-3" not in screen_text(app)


async def test_kept_filters_are_chosen_and_forgotten(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "monitor.json")
    memory.keep_filter("executions", "bad", "status:faulted")
    async with monitor(shop(), memory=memory) as (app, pilot):
        app.run_command("filters")
        await press(pilot)
        assert "bad  status:faulted" in screen_text(app)
        await press(pilot, "enter")
        assert app.view.filter_text == "status:faulted"
        app.run_command("forget bad")
        await press(pilot)
    assert not Memory(tmp_path / "monitor.json").looks("executions").filters


async def test_a_query_is_kept_and_offered(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "monitor.json")
    async with monitor(shop(), memory=memory) as (app, pilot):
        await press(pilot, "9")
        app.run_command("save newest")
        await press(pilot)
        app.run_command("queries")
        await press(pilot)
        assert "★ newest" in screen_text(app)
    assert "select" in Memory(tmp_path / "monitor.json").kept.queries["newest"]


async def test_without_a_filter_there_is_nothing_to_keep() -> None:
    async with monitor(shop()) as (app, pilot):
        app.run_command("save mine")
        await press(pilot)
        assert any("no filter" in note.message for note in app._notifications)


async def test_columns_and_order_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "monitor.json"
    async with monitor(shop(), (140, 24), memory=Memory(file)) as (app, pilot):
        await press(pilot, "o")
        await pilot.press("space", "enter")
        await press(pilot, "s", "down", "enter")
    async with monitor(shop(), (140, 24), memory=Memory(file)) as (app, pilot):
        assert "STATUS" not in screen_text(app).splitlines()[2]
        assert app.view.table().sorted_by == ("duration", True)  # type: ignore[union-attr]


async def test_theme_and_last_view_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "monitor.json"
    async with monitor(shop(), memory=Memory(file)) as (app, pilot):
        app.theme = "nord"
        await press(pilot, "4", "ctrl+q")
    async with monitor(shop(), memory=Memory(file)) as (app, pilot):
        await press(pilot)
        assert app.theme == "nord" and app.view_name == "workflows"


async def test_a_theme_that_is_gone_is_the_usual_one() -> None:
    memory = Memory()
    memory.kept.theme = "no-such-theme"
    async with monitor(shop(), memory=memory) as (app, _):
        assert app.theme == "textual-dark"
