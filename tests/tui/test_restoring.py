"""Going back from the monitor: retry, fork and rewind, with the input edited or as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq_tui.dialogs.choice import Choice
from flunq_tui.dialogs.confirm import Confirm
from flunq_tui.dialogs.editing import Editing
from flunq_tui.dialogs.menu import Menu
from tests.support.desk import desk
from tests.support.monitor import assert_grid, monitor, press, screen_text, shop
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from flunq_tui.app import Monitor


async def edit(app: Monitor, pilot: Pilot[None], text: str) -> None:
    """Write a text in place of what is to be edited."""
    await eventually(lambda: isinstance(app.screen, Editing))
    app.screen.query_one("#text").text = text  # type: ignore[attr-defined]
    await press(pilot, "ctrl+s")


async def test_what_failed_is_tried_again() -> None:
    source = desk()
    async with monitor(source) as (app, pilot):
        await press(pilot, "slash", *"order-2", "enter", "R")
        assert source.done == [("retry", "order-2")]
        assert any("retry: 1 done" in note.message for note in app._notifications)


async def test_many_are_tried_again_after_a_yes_and_the_others_are_left_out() -> None:
    source = desk()
    source._recordings["order-4"] = source._recordings["order-2"]
    async with monitor(desk()) as (app, pilot):
        await press(pilot, "x", "x", "x", "x", "R")
        assert not isinstance(app.screen, Confirm)  # of the four only one has failed
        assert any("3 left out" in note.message for note in app._notifications)


async def test_the_input_of_the_task_that_failed_is_edited() -> None:
    source = desk()
    async with monitor(source) as (app, pilot):
        await press(pilot, "slash", *"order-2", "enter", "ctrl+e")
        await eventually(lambda: isinstance(app.screen, Editing))
        assert '"cents": 230' in screen_text(app)
        await edit(app, pilot, '{"cents": 1}')
        await eventually(lambda: bool(source.done))
    assert source.done == [("retry", "order-2", {"cents": 1})]


async def test_what_is_no_json_is_refused_and_not_lost() -> None:
    source = desk()
    async with monitor(source) as (app, pilot):
        await press(pilot, "slash", *"order-2", "enter", "ctrl+e")
        await edit(app, pilot, "{nothing")
        await eventually(lambda: any("no JSON" in note.message for note in app._notifications))
        assert not source.done
        await press(pilot, "ctrl+e")
        await eventually(lambda: isinstance(app.screen, Editing))
        assert "{nothing" in screen_text(app)
        await edit(app, pilot, '{"cents": 2}')
        await eventually(lambda: bool(source.done))
        await press(pilot, "ctrl+e")
        await eventually(lambda: isinstance(app.screen, Editing))
        assert '"cents": 230' in screen_text(app)


@pytest.mark.parametrize(
    ("downs", "text", "order"),
    [
        (0, "", ("fork", "order-1", 5)),
        (1, '{"a": 1}', ("fork", "order-1", 5, {"a": 1})),
        (2, "", ("fork", "order-1", None)),
        (3, '{"id": "o-2"}', ("fork", "order-1", None, {"id": "o-2"})),
    ],
)
async def test_a_fork_begins_here_or_at_the_start(
    downs: int, text: str, order: tuple[object, ...]
) -> None:
    source = desk()
    async with monitor(source, (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "0", *["full_stop"] * 4, "F")
        await eventually(lambda: isinstance(app.screen, Choice))
        await press(pilot, *["down"] * downs, "enter")
        if text:
            await edit(app, pilot, text)
        await eventually(lambda: bool(source.done))
    assert source.done == [order]


async def test_rewinding_asks_and_names_the_event() -> None:
    source = desk()
    async with monitor(source, (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "B")
        assert any("this is the present" in note.message for note in app._notifications)
        await press(pilot, "0", "full_stop", "B")
        await eventually(lambda: isinstance(app.screen, Confirm))
        await press(pilot, "y")
        await eventually(lambda: bool(source.done))
    assert source.done == [("rewind", "order-1", 2)]


async def test_the_menu_greys_what_is_impossible_and_says_why() -> None:
    async with monitor(desk(), (100, 30)) as (app, pilot):
        await press(pilot, "slash", *"order-2", "enter", "a")
        await eventually(lambda: isinstance(app.screen, Menu))
        await press(pilot)
        assert_grid(app, "menu")


async def test_what_is_chosen_in_the_menu_is_done() -> None:
    source = desk()
    async with monitor(source, (100, 30)) as (app, pilot):
        await press(pilot, "slash", *"order-2", "enter", "a")
        await eventually(lambda: isinstance(app.screen, Menu))
        entries = app.screen._entries  # type: ignore[attr-defined]
        names = [each.id for each in entries if not each.reason]
        await press(pilot, *["down"] * names.index("retry"), "enter")
        await eventually(lambda: bool(source.done))
    assert source.done == [("retry", "order-2")]


async def test_of_a_recording_nothing_can_be_retried() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "j", "R")
        assert any("this is a recording" in note.message for note in app._notifications)
