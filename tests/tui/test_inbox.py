"""The inbox: everything that waits for somebody, and what can be done about it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq_tui.dialogs.confirm import Confirm
from flunq_tui.dialogs.editing import Editing
from flunq_tui.dialogs.form import Form
from tests.support.desk import Desk, approval, desk, letter
from tests.support.monitor import assert_grid, monitor, press, screen_text
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from flunq.core.protocol import Details
    from flunq_tui.app import Monitor


async def go_to(app: Monitor, pilot: Pilot[None], name: str) -> None:
    """Put the cursor of the inbox on a row."""
    await press(pilot, "6")
    table = app.view.table()
    assert table is not None
    at = next(n for n, (_, cells) in enumerate(table.rows.page(0, 20)) if name in str(cells[2]))
    table.move_to(at)
    await press(pilot)


async def test_questions_letters_failures_and_what_is_held() -> None:
    async with monitor(desk(letter())) as (app, pilot):
        await press(pilot, "6")
        assert_grid(app, "inbox-full")


async def test_a_filter_chooses_what_is_shown() -> None:
    async with monitor(desk(letter())) as (app, pilot):
        await press(pilot, "6", "slash", *"status:dead", "enter")
        shown = screen_text(app)
        assert "task price: given up" in shown and "Provider is down" not in shown


async def test_a_dead_letter_is_put_back() -> None:
    source = desk(letter())
    async with monitor(source) as (app, pilot):
        await go_to(app, pilot, "#7")
        await press(pilot, "R")
        assert source.done == [("retry", "7", None)]
        assert "given up" not in screen_text(app)


async def test_a_dead_letter_is_dropped_after_a_yes() -> None:
    source = desk(letter(7), letter(8))
    async with monitor(source) as (app, pilot):
        await go_to(app, pilot, "#7")
        await press(pilot, "x", "x", "D")
        await eventually(lambda: isinstance(app.screen, Confirm))
        assert "delete: 2?" in screen_text(app) and "flunq dlq drop" in screen_text(app)
        await press(pilot, "y")
        await eventually(lambda: not source.dead)
    assert sorted(source.done) == [("drop", "7", None), ("drop", "8", None)]


async def test_a_dead_letter_is_edited_and_put_back() -> None:
    source = desk(letter())
    async with monitor(source) as (app, pilot):
        await go_to(app, pilot, "#7")
        await press(pilot, "ctrl+e")
        await eventually(lambda: isinstance(app.screen, Editing))
        app.screen.query_one("#text").text = '{"cents": 2}'  # type: ignore[attr-defined]
        await press(pilot, "ctrl+s")
        await eventually(lambda: bool(source.done))
    assert source.done == [("retry", "7", '{"cents": 2}')]


async def test_a_letter_that_was_cut_cannot_be_edited() -> None:
    cut = msgspec.structs.replace(letter(), truncated=True)
    source = desk(cut)
    async with monitor(source) as (app, pilot):
        await go_to(app, pilot, "#7")
        await press(pilot, "ctrl+e")
        assert any("too long to be kept whole" in note.message for note in app._notifications)
        assert not source.done


async def test_a_question_is_answered_with_a_form_of_its_schema() -> None:
    source = desk()
    async with monitor(source) as (app, pilot):
        await go_to(app, pilot, "asking")
        await press(pilot, "A")
        await eventually(lambda: isinstance(app.screen, Form))
        await press(pilot)
        assert_grid(app, "answer")
        app.screen.query_one("#field-1").value = "true"  # type: ignore[attr-defined]
        app.screen.query_one("#field-2").value = "ok"  # type: ignore[attr-defined]
        await press(pilot, "ctrl+s")
        assert "shorter than 3 characters" in screen_text(app) and not source.done
        app.screen.query_one("#field-2").value = "fine"  # type: ignore[attr-defined]
        await press(pilot, "ctrl+s")
        await eventually(lambda: bool(source.done))
    data = {"request": "r-1", "approved": True, "why": "fine"}
    assert source.done == [("emit", "com.example.decided", "/shop", data)]


async def test_what_waits_for_no_event_cannot_be_answered() -> None:
    calm = approval("calm")
    details = msgspec.structs.replace(calm.details, waiting=[])
    source = Desk([msgspec.structs.replace(calm, details=details)])
    async with monitor(source) as (app, pilot):
        await press(pilot, "A")
        assert any("waits for no event" in note.message for note in app._notifications)


async def test_what_goes_on_by_itself_is_not_in_the_inbox() -> None:
    calm = approval("calm")
    timer = [{"for": "timer", "task": "/do/0/ask", "timer": "2w", "due": 1}]
    details = msgspec.structs.replace(calm.details, waiting=timer)
    async with monitor(Desk([msgspec.structs.replace(calm, details=details)])) as (app, pilot):
        await press(pilot, "6")
        assert "nothing waits for anybody" in screen_text(app)


async def test_what_went_on_since_it_was_listed_is_not_in_the_inbox() -> None:
    class Moving(Desk):
        async def details(self, execution: str) -> Details:
            return msgspec.structs.replace(await super().details(execution), status="completed")

    async with monitor(Moving([approval("gone")])) as (app, pilot):
        await press(pilot, "6")
        assert "nothing waits for anybody" in screen_text(app)


async def test_enter_opens_the_execution_of_a_letter() -> None:
    async with monitor(desk(letter())) as (app, pilot):
        await go_to(app, pilot, "#7")
        await press(pilot, "enter")
        assert app.view_name == "execution" and "order-2" in screen_text(app)
