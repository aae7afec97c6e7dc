"""Panes of an execution that explain: why, the timeline, the way from an error to its source."""

from __future__ import annotations

import msgspec
import pytest

from flunq.client.reasons import Cause, LastError, Why
from flunq.core.execution.near import NearMiss, Part
from flunq.telemetry.lines import LogLine
from flunq_tui.recorded import RecordedSource
from flunq_tui.widgets.json_pane import JsonPane
from tests.support.desk import desk, nightly
from tests.support.driver import EPOCH
from tests.support.monitor import (
    REFUSAL,
    assert_grid,
    monitor,
    order,
    press,
    recording,
    screen_text,
    shop,
)

WHY = Why(
    id="asking",
    workflow="shop/approval:1.0.0",
    status="waiting",
    headline="waits for an event of type com.example.decided",
    since=EPOCH,
    causes=[
        Cause(
            kind="event",
            text="ask listens for com.example.decided",
            since=EPOCH,
            act="whoever publishes it",
            near=[
                NearMiss(
                    id="e-1",
                    type="com.example.decided",
                    source="/other",
                    filter=0,
                    parts=[Part(name="source", wanted="/shop", found="/other", meets=False)],
                )
            ],
        )
    ],
    command="flunq emit com.example.decided",
    error=LastError(
        what="caught", task="/do/0/ask", at=EPOCH, type="x/timeout", status=408, line=4
    ),
)


async def open_pane(name: str, source: str = "order-2") -> None:
    """Compare the screen with the file that is called like the pane."""
    async with monitor(shop(), (120, 24)) as (app, pilot):
        app.run_command(source)
        await press(pilot)
        app.view.show_pane(name)  # type: ignore[attr-defined]
        await press(pilot)
        assert_grid(app, f"pane-{name}-{source}")


@pytest.mark.parametrize(
    ("pane", "execution"), [("timeline", "order-1"), ("why", "order-2"), ("graph", "order-3")]
)
async def test_panes(pane: str, execution: str) -> None:
    await open_pane(pane, execution)


async def test_an_explanation_of_the_cluster_is_shown_whole() -> None:
    source = desk()
    source.reasons = WHY
    async with monitor(source, (120, 30)) as (app, pilot):
        app.run_command("asking")
        await press(pilot)
        app.view.show_pane("why")  # type: ignore[attr-defined]
        await press(pilot, "tab", "z")
        assert_grid(app, "pane-why-explained")


async def test_of_the_past_the_history_tells_why() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        app.run_command("order-1")
        await press(pilot)
        app.view.show_pane("why")  # type: ignore[attr-defined]
        await press(pilot, "0", "full_stop", "full_stop")
        assert "At that time it waited for" in screen_text(app)


async def test_from_an_error_to_its_line_of_the_source() -> None:
    async with monitor(shop(), (120, 24)) as (app, pilot):
        await press(pilot, "j", "enter")
        app.view.show_pane("error")  # type: ignore[attr-defined]
        await press(pilot, "tab", "enter")
        pane = app.view.query_one("#pane")
        assert "charge" in pane.text_to_copy(whole=False)  # type: ignore[attr-defined]


async def test_logs_from_a_level_on() -> None:
    source = desk()
    source.lines = [
        LogLine(time=f"2023-11-14T22:13:2{n}.000Z", level=level, service="node", message=f"m-{n}")
        for n, level in enumerate(("debug", "info", "warning", "error"))
    ]
    async with monitor(source) as (app, pilot):
        await press(pilot, "8", "v", "v")
        shown = screen_text(app)
        assert ">= warning" in shown and "m-2" in shown and "m-1" not in shown
        await press(pilot, "slash", *"m-3", "enter")
        assert "m-2" not in screen_text(app)
        await press(pilot, "escape", "v", "v")
        assert "m-0" in screen_text(app)


async def test_nodes_tell_what_waits_for_whom() -> None:
    async with monitor(desk()) as (app, pilot):
        await press(pilot, "7")
        row = next(line for line in screen_text(app).splitlines() if "http" in line)
        assert row.split() == ["tasks", "http", "12", "3"]


async def test_an_error_comes_with_the_lines_of_its_task_and_no_more() -> None:
    source = RecordedSource([recording(order(price=[REFUSAL]).run(), "order-9")])
    async with monitor(source, (120, 24)) as (_, pilot):
        await press(pilot, "enter")
        pane = pilot.app.query_one("#pane", JsonPane)
        shown = pane.text_to_copy(whole=True).splitlines()
        assert [line.split(maxsplit=1)[1] for line in shown[-2:]] == ["- price:", "call: price"]


async def test_the_overview_tells_how_much_waits_and_for_whom_the_most() -> None:
    async with monitor(desk()) as (app, pilot):
        await press(pilot, "3")
        assert "12 wait, 3 under way; most for http: 12" in screen_text(app)


async def test_the_next_fire_of_a_schedule_is_skipped_and_shown_as_such() -> None:
    source = desk()
    source.plans = [nightly()]
    async with monitor(source, (120, 24)) as (app, pilot):
        await press(pilot, "5", "K")
        assert source.done == [("skip", "shop/nightly")]
        assert_grid(app, "schedules-skipping")
        await press(pilot, "ctrl+k")
        assert source.done[1:] == [("unskip", "shop/nightly")]
        assert "skipped" not in screen_text(app).splitlines()[3]


async def test_everything_about_several_is_copied_as_json() -> None:
    async with monitor(desk()) as (app, pilot):
        await press(pilot, "x", "x", "c", "down", "down", "enter")
        await press(pilot)
        ids = [each["id"] for each in msgspec.json.decode(app.clipboard)]
        assert ids == ["asking", "order-2"]


async def test_what_may_follow_a_colon_is_offered() -> None:
    async with monitor(desk()) as (app, pilot):
        await press(pilot, "colon", *"sched", "right", "enter")
        assert app.view_name == "schedules"
