"""Forms on the screen: what is wrong and the buttons are in sight, and nothing typed is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from textual.widgets import Input, Select, TextArea

from flunq.errors import UnavailableError
from flunq_tui.dialogs.editing import Editing
from flunq_tui.dialogs.form import Form
from flunq_tui.model.form import fields_of
from tests.support.desk import Desk, approval, desk
from tests.support.monitor import monitor, order, press, recording, screen_text
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.pilot import Pilot

    from flunq_tui.recorded import Recording

MANY: dict[str, Any] = {
    "required": ["name-0"],
    "properties": {f"name-{number}": {"type": "integer"} for number in range(40)},
}


async def restart(pilot: Pilot[None], source: Desk, **given: Any) -> str:
    """Ask for the form that starts an execution again; return the screen."""
    each = source._recordings["order-1"]
    details = msgspec.structs.replace(each.details, input=given)
    source._recordings["order-1"] = msgspec.structs.replace(each, details=details)
    await press(pilot, "slash", *"id:order-1", "enter", "n")
    await eventually(lambda: isinstance(pilot.app.screen, Form))
    await press(pilot)
    return screen_text(pilot.app)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 35)])
async def test_what_is_wrong_is_in_sight_below_many_fields(size: tuple[int, int]) -> None:
    async with monitor(desk(), size) as (app, pilot):
        app.push_screen(Form("Many", fields_of(MANY), send="send", schema=MANY))
        await press(pilot)
        assert "name-0*" in screen_text(app)
        await press(pilot, "ctrl+s")
        shown = screen_text(app)
        assert "name-0: required" in shown and "send (ctrl+s)" in shown


async def test_an_earlier_input_fills_the_fields() -> None:
    source = desk()
    async with monitor(source) as (_, pilot):
        assert "number of the order" in await restart(pilot, source, id="o-1", count=3)
        await press(pilot, "ctrl+s")
        await eventually(lambda: bool(source.done))
    assert source.done == [("start", "shop/order", {"id": "o-1", "count": 3}, None)]


async def test_what_no_field_can_say_of_an_earlier_input_is_not_lost() -> None:
    source = desk()
    async with monitor(source) as (_, pilot):
        assert '"lines": [' in await restart(pilot, source, id="o-1", lines=["a"])
        await press(pilot, "ctrl+s")
        await eventually(lambda: bool(source.done))
    assert source.done == [("start", "shop/order", {"id": "o-1", "lines": ["a"]}, None)]


async def test_an_impossible_id_leaves_the_form_open() -> None:
    source = desk()
    async with monitor(source) as (app, pilot):
        await restart(pilot, source, id="o-1")
        app.screen.query_one("#execution").value = "not an id"  # type: ignore[attr-defined]
        await press(pilot, "ctrl+s")
        assert "not an id cannot be an id" in screen_text(app) and not source.done
        app.screen.query_one("#execution").value = "o-2"  # type: ignore[attr-defined]
        await press(pilot, "ctrl+s")
        await eventually(lambda: bool(source.done))
    assert source.done == [("start", "shop/order", {"id": "o-1"}, "o-2")]


async def test_what_is_not_filled_in_does_not_keep_the_rest_from_being_edited_as_json() -> None:
    schema = {
        "required": ["size", "count"],
        "properties": {
            "who": {"type": "string"},
            "size": {"enum": ["small", "large"]},
            "count": {"type": "integer"},
        },
    }
    edited: list[str] = []

    async def edit(heading: str, text: str) -> None:
        edited.append(text)

    async with monitor(desk()) as (app, pilot):
        app.push_screen(Form("Some", fields_of(schema), send="send", schema=schema, edit=edit))
        await press(pilot, *"ada", "f2", "escape")
        app.push_screen(Form("Any", fields_of(True), send="send", schema=True, edit=edit))
        await press(pilot, "[", "f2")
    assert edited.pop() == "[{}"
    assert [msgspec.json.decode(text) for text in edited] == [
        {"who": "ada", "size": "small", "count": 0}
    ]


async def test_json_that_is_wrong_is_there_when_it_is_edited_again() -> None:
    source = desk()
    async with monitor(source) as (app, pilot):
        await restart(pilot, source, id="o-1")
        for text in ('{"id": "o-2",', '{"id": 3}'):
            await press(pilot, "f2")
            await eventually(lambda: isinstance(app.screen, Editing))
            app.screen.query_one("#text").text = text  # type: ignore[attr-defined]
            await press(pilot, "ctrl+s")
            await eventually(lambda: isinstance(app.screen, Form))
            await press(pilot)
        await press(pilot, "f2")
        await eventually(lambda: isinstance(app.screen, Editing))
        assert '{"id": 3}' in screen_text(app)
        await press(pilot, "escape", "x", "f2")
        await eventually(lambda: isinstance(app.screen, Editing))
        assert '{"id": 3}' not in screen_text(app)
    assert not source.done


class Refusing(Desk):
    """Takes nothing until it is told to."""

    takes = False

    async def start(self, workflow: str, value: Any, execution: str | None) -> str:
        self._check()
        return await super().start(workflow, value, execution)

    async def emit(self, events: Iterable[dict[str, Any]]) -> None:
        self._check()
        await super().emit(events)

    def _check(self) -> None:
        if not self.takes:
            raise UnavailableError("nobody answers")


async def opened(pilot: Pilot[None], key: str) -> Form:
    """Return the form that a key opens."""
    await press(pilot, key)
    await eventually(lambda: isinstance(pilot.app.screen, Form))
    await press(pilot)
    assert isinstance(pilot.app.screen, Form)
    return pilot.app.screen


async def refused(pilot: Pilot[None]) -> None:
    """Send a form, which the cluster does not take."""
    await press(pilot, "ctrl+s")
    await eventually(lambda: not isinstance(pilot.app.screen, Form))
    await eventually(lambda: any("nobody answers" in n.message for n in notes(pilot)))


def notes(pilot: Pilot[None]) -> list[Any]:
    """Return the messages that are shown."""
    return list(pilot.app._notifications)


async def test_a_start_that_was_refused_is_there_when_it_is_begun_again() -> None:
    source = Refusing([order_1()])
    async with monitor(source) as (_, pilot):
        form = await opened(pilot, "n")
        form.query_one("#field-0", Input).value = "o-9"
        form.query_one("#execution", Input).value = "mine"
        await refused(pilot)
        form = await opened(pilot, "n")
        assert form.query_one("#field-0", Input).value == "o-9"
        assert form.query_one("#execution", Input).value == "mine"
        source.takes = True
        await press(pilot, "ctrl+s")
        await eventually(lambda: bool(source.done))
        await press(pilot, "left_square_bracket")
        form = await opened(pilot, "n")
        assert form.query_one("#field-0", Input).value == "o-1"
    assert source.done == [("start", "shop/order", {"id": "o-9"}, "mine")]


async def test_what_no_field_can_say_of_a_refused_start_is_not_lost() -> None:
    source = Refusing([order_1()])
    async with monitor(source) as (app, pilot):
        await opened(pilot, "n")
        await press(pilot, "f2")
        await eventually(lambda: isinstance(app.screen, Editing))
        app.screen.query_one("#text", TextArea).text = '{"id": "o-9", "gift": true}'
        await refused(pilot)
        await opened(pilot, "n")
        assert '"gift": true' in screen_text(app)
        await press(pilot, "escape")
        await opened(pilot, "n")
        assert '"gift"' not in screen_text(app)


async def test_an_answer_and_an_event_that_were_refused_are_there_again() -> None:
    source = Refusing([approval()])
    async with monitor(source) as (_, pilot):
        form = await opened(pilot, "A")
        form.query_one("#field-1", Select).value = "true"
        form.query_one("#field-2", Input).value = "fine"
        await refused(pilot)
        form = await opened(pilot, "E")
        form.query_one("#field-2", Input).value = "a subject"
        await refused(pilot)
        form = await opened(pilot, "A")
        assert form.query_one("#field-1", Select).value == "true"
        assert form.query_one("#field-2", Input).value == "fine"
        await press(pilot, "escape")
        form = await opened(pilot, "E")
        assert form.query_one("#field-2", Input).value == "a subject"


def order_1() -> Recording:
    """Return an order that was started with nothing but an id."""
    made = recording(order().run(), "order-1")
    details = msgspec.structs.replace(made.details, input={"id": "o-1"})
    return msgspec.structs.replace(made, details=details)
