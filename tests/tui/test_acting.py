"""Commands by key, by ``:``, by palette and by mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from flunq_tui.actions import Item
from flunq_tui.dialogs.choice import Choice
from flunq_tui.keys import Keymap
from flunq_tui.model.equivalents import equal_command
from flunq_tui.recorded import RecordedSource, from_files
from flunq_tui.widgets.status_lines import Prompt
from tests.support.desk import desk
from tests.support.monitor import monitor, press, screen_text, shop, summaries
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("typed", "view"),
    [
        ("events", "events"),
        ("wor", "workflows"),
        ("inbox", "inbox"),
        ("order-1", "execution"),
        ("inbox status:faulted", "inbox"),
    ],
)
async def test_what_is_typed_after_a_colon(typed: str, view: str) -> None:
    async with monitor(shop()) as (app, pilot):
        keys = [{" ": "space", ":": "colon", "-": "minus"}.get(each, each) for each in typed]
        await press(pilot, "colon", *keys, "enter")
        assert app.view_name == view


async def test_views_are_gone_through_back_and_forth() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "4", "2", "left_square_bracket")
        assert app.view_name == "workflows"
        await press(pilot, "left_square_bracket", "right_square_bracket")
        assert app.view_name == "workflows"


async def test_escape_undoes_and_never_quits() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "x", "slash", *"order", "enter", "enter")
        assert app.view_name == "execution"
        await press(pilot, *["escape"] * 8)
        assert app.view_name == "executions"
        assert app.is_running and not app.view.filter_text


async def test_q_leaves_the_first_view() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "enter", "q")
        assert app.view_name == "executions"
        await pilot.press("q")
        assert app._exit


async def test_a_wrong_filter_says_what_is_wrong() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "slash", *"age<soon", "enter")
        assert any("soon" in note.message for note in app._notifications)


async def test_the_prompt_remembers() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "slash", *"abc", "enter", "escape", "slash", "up")
        assert app.frame.query_one(Prompt).value == "abc"


async def test_impossible_commands_say_why() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "ctrl+d")
        assert any("this is a recording" in note.message for note in app._notifications)


async def test_copying_goes_through_the_terminal() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "c")
        assert isinstance(app.screen, Choice)
        await pilot.press("enter")
        await press(pilot)
        assert app.clipboard == "order-3"


async def test_the_palette_offers_what_is_possible() -> None:
    async with monitor(shop()) as (app, pilot):
        await pilot.press("ctrl+p")
        await eventually(lambda: isinstance(app.focused, Input))
        await pilot.press(*"overview")
        await eventually(lambda: "rates, what is open" in screen_text(app))
        await pilot.press("enter")
        await eventually(lambda: app.view_name != "executions")
        assert app.view_name == "overview"


async def test_columns_are_chosen() -> None:
    async with monitor(shop(), (140, 24)) as (app, pilot):
        await press(pilot, "o")
        await pilot.press("space", "enter")
        await press(pilot)
        assert "STATUS" not in screen_text(app).splitlines()[2]


async def test_other_keys_take_the_place_of_the_usual() -> None:
    keymap = Keymap({"view_events": ("f9",)})
    async with monitor(shop(), keymap=keymap) as (app, pilot):
        await press(pilot, "2")
        assert app.view_name == "executions"
        await press(pilot, "f9")
        assert app.view_name == "events"


async def test_a_table_is_saved(tmp_path: Path) -> None:
    async with monitor(RecordedSource(summaries(3)), folder=tmp_path) as (_, pilot):
        await press(pilot, "ctrl+s")
    (file,) = tmp_path.iterdir()
    lines = file.read_text().splitlines()
    assert len(lines) == 4 and "run-000002" in lines[1]


async def test_the_mouse_chooses_opens_and_sorts() -> None:
    async with monitor(shop()) as (app, pilot):
        await pilot.click("VirtualTable", offset=(5, 2))
        assert app.view.items()[0].id == "order-2"
        await pilot.click("VirtualTable", offset=(3, 0))
        await press(pilot)
        assert app.view.table().sorted_by == ("status", False)  # type: ignore[union-attr]
        await pilot.click("VirtualTable", offset=(5, 1), times=2)
        await press(pilot)
        assert app.view_name == "execution"


async def test_the_scrubber_follows_the_mouse() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter")
        await pilot.click("Scrubber", offset=(0, 0))
        await press(pilot)
        assert app.view.position == 1  # type: ignore[attr-defined]
        assert "PAST 1/38" in screen_text(app)


async def test_scrubbing_by_keys() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "0", "full_stop", "greater_than_sign")
        assert app.view.position == 12  # type: ignore[attr-defined]
        await press(pilot, "comma", "less_than_sign", "dollar_sign")
        assert app.view.live  # type: ignore[attr-defined]


async def test_searching_in_a_value() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "enter", "slash", *'"b"', "enter")
        pane = app.view.query_one("#pane")
        assert '"b"' in pane.text_to_copy(whole=False) or pane.cursor == 4  # type: ignore[attr-defined]


async def test_zooming_shows_one_pane() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "enter", "z")
        assert "context" not in screen_text(app)
        await press(pilot, "escape")
        assert "context" in screen_text(app)


@pytest.mark.parametrize(
    ("item", "action", "command"),
    [
        (Item("a b", "", "execution"), "cancel", "flunq cancel 'a b'"),
        (Item("x", "", "execution"), "", "flunq get x"),
        (Item("n/w:1", "", "workflow"), "", "flunq workflows show n/w:1"),
        (Item("n/w", "", "schedule"), "", "flunq schedules show n/w"),
    ],
)
def test_equal_commands(item: Item, action: str, command: str) -> None:
    assert equal_command("executions", [item], action) == command


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    from flunq.errors import FlunqError

    file = tmp_path / "x.flunq.gz"
    file.write_text("nothing")
    with pytest.raises(FlunqError):
        from_files([file])


async def test_what_is_marked_is_looked_up_once_for_all_hints() -> None:
    async with monitor(desk()) as (app, pilot):
        await press(pilot, "x", "x", "G")
        asked: list[object] = []
        item = app.view.item
        app.view.item = lambda key: asked.append(key) or item(key)  # type: ignore[method-assign, func-returns-value]
        app.show_hints()
        assert len(asked) == 2
        app.help_lines()
        assert len(asked) == 4
