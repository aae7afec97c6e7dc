"""The inbox: everything that waits for somebody, and what can be done about it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from flunq.errors import RejectedError
from flunq_tui.dialogs.confirm import Confirm
from flunq_tui.dialogs.editing import Editing
from flunq_tui.dialogs.form import Form
from flunq_tui.recorded import Recording
from flunq_tui.views import inbox_reading
from tests.support.desk import APPROVAL, Desk, approval, desk, letter
from tests.support.monitor import (
    NOW,
    assert_grid,
    definition,
    monitor,
    press,
    screen_text,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.pilot import Pilot

    from flunq.core.letters import Letter
    from flunq.core.protocol import DefinitionText, Details
    from flunq_tui.app import Monitor

NAP = """\
document: {dsl: 1.0.3, namespace: shop, name: nap, version: 1.0.0}
do: [{nap: {wait: {hours: 2}}}]
"""


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


class Asked(Desk):
    """Notes whose details were asked for."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        super().__init__(recordings)
        self.details_of: list[str] = []

    async def details(self, execution: str) -> Details:
        self.details_of.append(execution)
        return await super().details(execution)


def sleeping(count: int, document: DefinitionText | None = None) -> list[Recording]:
    """Return executions that wait for a timer only, younger than any question."""
    calm = approval("calm")
    details = msgspec.structs.replace(
        calm.details,
        workflow="nap" if document is None else calm.details.workflow,
        waiting=[{"for": "timer", "task": "/do/0/nap", "timer": "2w", "due": 1}],
    )
    return [
        Recording(
            details=msgspec.structs.replace(
                details, id=f"nap-{number}", started_at=details.started_at + 1_000 + number
            ),
            definition=document or definition(NAP),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("asleep", [250, inbox_reading.MOST_ASLEEP + 300])
async def test_questions_are_found_behind_many_that_only_sleep(asleep: int) -> None:
    questions = [approval(f"asking-{number}") for number in range(12)]
    source = Asked([*questions, *sleeping(asleep)])
    async with monitor(source) as (app, pilot):
        await press(pilot, "6")
        shown = screen_text(app)
        assert "question 12" in shown and "asking-11" in shown
        assert "12+" not in shown and "looking" not in shown
    assert not any(each.startswith("nap") for each in source.details_of)


async def test_questions_are_shown_to_who_may_not_see_dead_letters() -> None:
    class Closed(Desk):
        async def letters(self) -> Sequence[Letter]:
            raise RejectedError("not for you")

    async with monitor(Closed([approval("asking")])) as (app, pilot):
        await press(pilot, "6")
        shown = screen_text(app)
        assert "question 1" in shown and "loading" not in shown
        assert any("not for you" in note.message for note in app._notifications)


async def test_a_question_of_a_document_that_was_replaced_is_found() -> None:
    asking = approval("asking")
    text = APPROVAL.replace("listen", "wait")
    found = definition(text)
    later = msgspec.structs.replace(found.definition, created_at=NOW)
    replaced = msgspec.structs.replace(found, definition=later)
    async with monitor(Desk([msgspec.structs.replace(asking, definition=replaced)])) as (
        app,
        pilot,
    ):
        await press(pilot, "6")
        assert "question 1" in screen_text(app)


async def test_what_is_too_much_for_one_look_is_found_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_reading, "MOST_ASKED", 300)
    asking = approval("asking")
    source = Asked([asking, *sleeping(450, asking.definition)])
    async with monitor(source) as (app, pilot):
        await press(pilot, "6")
        shown = screen_text(app)
        assert "0+  still looking" in shown and "nothing waits" not in shown
        assert len(source.details_of) == 400
        for _ in range(3):
            app.view.tick()
        await press(pilot)
        assert "1  question 1" in screen_text(app) and "looking" not in screen_text(app)
    assert len(source.details_of) == 451


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
