"""Data that means harm, random keys, sizes that change: the monitor lives and shows something."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from flunq_tui.actions import COMMANDS
from flunq_tui.recorded import RecordedSource
from flunq_tui.text import fit, harmless, width_of
from tests.support.driver import Driver, error
from tests.support.monitor import monitor, press, recording, screen_text, shop, summaries

NASTY = [
    "[bold red]markup[/]",
    "[/nothing] [link=file:///etc/passwd]x[/link]",
    "\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x9b2J",
    "nul\x00 bell\x07 tab\t line\nfeed\r",
    "\u202eright to left\u202c \u2066isolated",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u4e2d\u6587 e\u0301\u0301\u0301",
    "\u200b\u200c\ufeff",
    "x" * 1_000_000,
    "\ufffd\ud800"[:1],
    "",
]
BUSY = 40
ODD = "do: [{odd: {call: f}}]"


@pytest.mark.parametrize("text", NASTY)
def test_text_becomes_harmless_and_fits(text: str) -> None:
    shown = fit(text, 20)
    assert width_of(shown) == 20
    assert not {"\x1b", "\x00", "\x07", "\x9b", "\u202e", "\n"} & set(shown)
    assert len(harmless(text)) < 20_000


def nasty_source() -> RecordedSource:
    found = []
    for number, text in enumerate(NASTY):
        failure = error("runtime", title=text[:500], detail=text)
        driver = Driver(ODD, {text[:100]: text}, {"f": failure})
        driver.run()
        made = recording(driver, f"run-{number}", after=number)
        tags = {text[:50]: text[:50]}
        found.append(
            msgspec.structs.replace(made, details=msgspec.structs.replace(made.details, tags=tags))
        )
    return RecordedSource(found, name="[nasty]")


async def test_nasty_data_is_shown_and_nothing_of_it_is_obeyed() -> None:
    source = nasty_source()
    async with monitor(source, (120, 30)) as (app, pilot):
        for number in range(len(NASTY)):
            app.run_command(f"run-{number}")
            await press(pilot)
            for pane in ("input", "error", "event"):
                app.view.show_pane(pane)  # type: ignore[attr-defined]
                await pilot.pause()
                assert not {"\x1b", "\x00", "\x07", "\x9b", "\u202e"} & set(screen_text(app))
            source.publish([event async for event in source.history(f"run-{number}")])
        await press(pilot, "2", "g")
        assert "[bold red]" in screen_text(app)


@pytest.mark.parametrize("seed", range(3))
async def test_random_keys_and_sizes(seed: int) -> None:
    draw = random.Random(seed)
    source = shop() if seed else nasty_source()
    keys = [key for each in COMMANDS for key in each.keys if each.id not in ("quit", "leave")]
    async with monitor(source, (80, 24)) as (app, pilot):
        for _ in range(BUSY):
            await pilot.press(draw.choice([*keys, "escape", "escape", "tab", "a", "enter"]))
            if draw.random() < 0.1:
                await pilot.resize_terminal(draw.randint(20, 200), draw.randint(5, 60))
                assert not {"\x1b", "\x00", "\x07", "\x9b", "\u202e"} & set(screen_text(app))
            if draw.random() < 0.2:
                width, height = app.size
                place = draw.randrange(width), draw.randrange(height)
                await pilot.click(offset=place, times=draw.choice((1, 1, 2)))
        for _ in range(4):
            await pilot.press("escape")
        await pilot.pause()
        assert app.is_running
        assert screen_text(app).strip()


async def test_one_odd_object_does_not_end_the_monitor() -> None:
    class Odd(RecordedSource):
        async def details(self, execution: str) -> Any:
            raise RuntimeError("[odd] object")

    async with monitor(Odd(summaries(3)), (100, 24)) as (app, pilot):
        await press(pilot, "w")
        await pilot.pause()
        assert app.is_running
        assert any("[odd] object" in note.message for note in app._notifications)
