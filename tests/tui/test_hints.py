"""The last line: what people need most is there in every width, and nothing overlaps."""

from __future__ import annotations

import pytest

from flunq_tui.messages import LANGUAGES
from flunq_tui.text import width_of
from flunq_tui.widgets.status_lines import Hint, arranged
from tests.support.monitor import monitor, press, screen_text, shop


def hints(language: str) -> list[Hint]:
    texts = LANGUAGES[language]
    some = [("open", "⏎"), ("filter", "/"), ("cancel", "ctrl+d"), ("help", "?"), ("leave", "q")]
    return [
        Hint(command=name, key=key, title=texts[f"do.{name}"], stays=name in ("help", "leave"))
        for name, key in some
    ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [8, 15, 20, 40, 80, 200])
def test_help_and_leave_are_always_there_and_the_line_is_never_too_long(
    language: str, width: int
) -> None:
    shown = arranged(hints(language), width)
    assert [command for command, _ in shown][-2:] == ["help", "leave"]
    assert sum(width_of(text) for _, parts in shown for text, _ in parts) == width


def test_what_matters_least_goes_first() -> None:
    wide, narrow = arranged(hints("en"), 80), arranged(hints("en"), 36)
    assert [command for command, _ in wide] == ["open", "filter", "cancel", "", "help", "leave"]
    assert [command for command, _ in narrow] == ["open", "filter", "", "help", "leave"]


async def test_a_click_at_the_right_end_leaves_the_view() -> None:
    async with monitor(shop(), (80, 24)) as (app, pilot):
        await press(pilot, "2")
        assert screen_text(app).splitlines()[-1].endswith("? help  q leave")
        await pilot.click("Hints", offset=(75, 0))
        await press(pilot)
        assert app.view_name == "executions"
