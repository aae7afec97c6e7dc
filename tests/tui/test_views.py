"""Each view as people see it: the screen, character by character."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.events import Key

from flunq_tui.dialogs.choice import Choice
from flunq_tui.dialogs.confirm import Confirm
from flunq_tui.dialogs.reading import Reading
from flunq_tui.recorded import RecordedSource
from tests.support.desk import desk
from tests.support.monitor import assert_grid, monitor, press, screen_text, shop, summaries
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen


async def test_executions_newest_first() -> None:
    async with monitor(shop()) as (app, _):
        assert_grid(app, "executions")


async def test_an_execution_with_its_tree_and_error() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "j", "enter")
        assert_grid(app, "execution-faulted")


async def test_an_execution_that_waits_says_for_what() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "enter")
        assert_grid(app, "execution-retrying")


async def test_an_execution_as_it_was_after_an_event() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "exclamation_mark")
        assert_grid(app, "execution-past")


async def test_the_events_of_an_execution_in_place_of_its_tree() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "e", "g")
        assert_grid(app, "execution-events")


async def test_the_events_of_a_row_are_shown_each_time() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        for _ in range(2):
            await press(pilot, "1", "G", "e")
            shown = screen_text(app)
            assert "workflow.completed" in shown and "TIMELINE" not in shown


async def test_keys_that_come_faster_than_dialogs_open_leave_the_monitor_alive() -> None:
    async with monitor(desk(), (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "1")
        for key in "selec":
            app.post_message(Key(key, key))
        await eventually(lambda: isinstance(app.screen, Choice))
        await pilot.press(*["escape"] * 4)
        await eventually(lambda: not app.screen_stack[1:])
        await pilot.press("1")
        await eventually(lambda: app.view_name == "executions")


DIALOGS: dict[str, Callable[[], Screen[Any]]] = {
    "choice": lambda: Choice("Which?", [("a", "A")]),
    "confirm": lambda: Confirm("Really?", ["It is gone then."], "yes", "no"),
    "reading": lambda: Reading("Read", lines=[]),
}


@pytest.mark.parametrize("kind", DIALOGS)
async def test_a_dialog_that_is_left_before_it_stands_leaves_the_monitor_alive(kind: str) -> None:
    async with monitor(desk(), (120, 24)) as (app, pilot):
        app.push_screen(DIALOGS[kind]())
        await app.pop_screen()
        await pilot.press("2")
        await eventually(lambda: app.view_name != "executions")


@pytest.mark.parametrize("pane", ["input", "output", "context", "call", "event", "source", "graph"])
async def test_the_panes_of_an_execution(pane: str) -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "j")
        app.view.show_pane(pane)  # type: ignore[attr-defined]
        await press(pilot)
        assert_grid(app, f"pane-{pane}")


async def test_two_tasks_are_compared() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "G", "enter", "j", "x", "G", "d")
        assert_grid(app, "pane-diff")


async def test_workflows_with_their_graph() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "4")
        assert_grid(app, "workflows")


async def test_workflows_with_their_source() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "4", "L")
        assert_grid(app, "workflows-source")


async def test_the_inbox_holds_what_waits_for_people() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "6")
        assert_grid(app, "inbox")


async def test_events_as_they_come() -> None:
    source = shop()
    async with monitor(source, (120, 24)) as (app, pilot):
        await press(pilot, "2")
        source.publish([event async for event in source.history("order-2")])
        await press(pilot)
        assert_grid(app, "events")


@pytest.mark.parametrize("number", ["3", "5", "7", "8"])
async def test_views_of_a_cluster_say_that_a_recording_has_none(number: str) -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, number)
        assert_grid(app, f"empty-{app.view_name}")


async def test_help_names_keys_and_says_why_not() -> None:
    async with monitor(shop(), (100, 60)) as (app, pilot):
        await press(pilot, "question_mark")
        assert_grid(app, "help")


async def test_why_tells_what_to_do_next() -> None:
    async with monitor(shop()) as (app, pilot):
        await press(pilot, "j", "w")
        assert_grid(app, "why")


async def test_everything_speaks_german() -> None:
    async with monitor(shop(), language="de") as (app, _):
        assert_grid(app, "executions-german")


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (40, 12), (20, 5)])
async def test_small_terminals_are_used_as_well_as_they_can_be(size: tuple[int, int]) -> None:
    async with monitor(shop(), size) as (app, pilot):
        await press(pilot, "G", "enter")
        assert_grid(app, f"execution-{size[0]}x{size[1]}")


@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark", "ansi-light", "nord"])
async def test_a_theme_changes_colours_and_nothing_else(theme: str) -> None:
    async with monitor(shop(), theme=theme) as (app, _):
        assert_grid(app, "executions")


async def test_an_empty_list_says_what_to_do() -> None:
    async with monitor(RecordedSource([])) as (app, _):
        assert "flunq run FILE" in screen_text(app)


async def test_a_filter_that_nothing_passes_says_so() -> None:
    async with monitor(RecordedSource(summaries(10))) as (app, pilot):
        await press(pilot, "slash", *"zzz", "enter")
        assert "esc clears the filter" in screen_text(app)
