"""The failures of the overview: moved in, opened, and kept in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flunq_tui.recorded import RecordedSource
from flunq_tui.widgets.short_list import ShortList
from tests.support.monitor import REFUSAL, monitor, order, press, recording, screen_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.protocol import Summary
    from flunq_tui.app import Monitor
    from flunq_tui.source import Query


def failing(count: int) -> RecordedSource:
    """Return executions that have failed; the one with the highest number is the newest."""
    runs = [
        recording(order(charge=[REFUSAL]).run(), f"order-{number}", after=number * 1_000_000)
        for number in range(count)
    ]
    return RecordedSource(runs, name="shop")


class Growing(RecordedSource):
    """What it lists is what another source has by now."""

    def __init__(self, now: RecordedSource) -> None:
        super().__init__([])
        self.now = now

    async def executions(self, query: Query) -> Sequence[Summary]:
        """Return a page of what there is by now."""
        return await self.now.executions(query)


def failures(app: Monitor) -> ShortList:
    return app.view.query_one("#failures", ShortList)


async def test_a_failure_is_opened_with_enter_and_one_comes_back() -> None:
    async with monitor(failing(3)) as (app, pilot):
        await press(pilot, "3")
        assert "⏎ open" in screen_text(app).splitlines()[-1]
        await press(pilot, "j", "enter")
        assert (app.view_name, app.view.items()[0].id) == ("execution", "order-1")
        await press(pilot, "left_square_bracket")
        assert (app.view_name, failures(app).key) == ("overview", "order-1")
        assert app.focused is failures(app)


async def test_a_failure_is_opened_with_the_mouse() -> None:
    async with monitor(failing(3)) as (app, pilot):
        await press(pilot, "3")
        await pilot.click("#failures", offset=(5, 2))
        await press(pilot)
        assert (app.view_name, failures(app).key) == ("overview", "order-0")
        await pilot.click("#failures", offset=(5, 2), times=2)
        await press(pilot)
        assert (app.view_name, app.view.items()[0].id) == ("execution", "order-0")


async def test_the_cursor_stays_on_its_failure_when_another_comes() -> None:
    source = Growing(failing(2))
    async with monitor(source) as (app, pilot):
        await press(pilot, "3", "j")
        assert failures(app).key == "order-0"
        source.now = failing(3)
        await press(pilot, "r")
        assert (failures(app).key, failures(app).count()) == ("order-0", 3)


@pytest.mark.parametrize("size", [(80, 24), (80, 9)])
async def test_all_failures_can_be_reached_and_the_page_begins_at_its_top(
    size: tuple[int, int],
) -> None:
    async with monitor(failing(10), size) as (app, pilot):
        await press(pilot, "3")
        assert screen_text(app).splitlines()[2].startswith(" events")
        await press(pilot, "G")
        assert (failures(app).key, failures(app).count()) == ("order-2", 8)
        assert "order-2" in screen_text(app)
        await press(pilot, "g")
        assert "order-9" in screen_text(app)


async def test_with_nothing_failed_there_is_nothing_to_open() -> None:
    async with monitor(failing(0)) as (app, pilot):
        await press(pilot, "3", "j", "enter")
        assert (app.view_name, failures(app).key) == ("overview", None)
