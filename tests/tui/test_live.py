"""The monitor on a real cluster: push, actions, reconnecting."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from textual.widgets import TextArea

from flunq.core.protocol import replay_subject
from flunq.errors import UnavailableError
from flunq.services.private import PrivateCluster
from flunq.services.replaying.service import Replaying
from flunq_tui.dialogs.choice import Choice
from flunq_tui.dialogs.confirm import Confirm
from flunq_tui.dialogs.editing import Editing
from flunq_tui.dialogs.form import Form
from flunq_tui.live import LiveSource
from flunq_tui.source import Link
from flunq_tui.views.execution import ExecutionView
from flunq_tui.views.executions import ExecutionsView
from tests.support.monitor import monitor, press, screen_text
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.client import Client

PAUSE = """\
document: {dsl: 1.0.3, namespace: tests, name: pause, version: 1.0.0}
input:
  schema:
    document:
      type: object
      properties:
        minutes: {type: integer}
        who: {type: string}
do:
  - first: {set: {ready: true}}
  - pause: {wait: {minutes: 5}}
"""
ASK = """\
document: {dsl: 1.0.3, namespace: tests, name: ask, version: 1.0.0}
do:
  - ask: {listen: {to: {one: {with: {type: com.example.answered}}}}}
"""


@pytest.fixture
async def cluster() -> AsyncIterator[PrivateCluster]:
    async with PrivateCluster() as cluster:
        await cluster.client.apply(PAUSE)
        await cluster.client.apply(ASK)
        yield cluster


def source_of(cluster: PrivateCluster) -> LiveSource:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        yield cluster.client

    return LiveSource(connect, link=Link(name="test"))


async def test_what_starts_appears_by_itself(cluster: PrivateCluster) -> None:
    async with monitor(source_of(cluster)) as (app, _pilot):
        await eventually(lambda: "nothing has run yet" in screen_text(app))
        run = await cluster.client.start("tests/pause", {}, id="first")
        await eventually(lambda: "first" in screen_text(app))
        await run.cancel()
        await eventually(lambda: "cancelled" in screen_text(app))


async def test_an_open_execution_follows_its_events(cluster: PrivateCluster) -> None:
    await cluster.client.start("tests/pause", {}, id="followed")
    async with monitor(source_of(cluster), (120, 24)) as (app, pilot):
        await eventually(lambda: "followed" in screen_text(app))
        await press(pilot, "enter")
        view = app.view
        assert isinstance(view, ExecutionView) and view.live
        await eventually(lambda: "Waiting for" in screen_text(app))
        before = view.position
        await cluster.client.cancel("followed")
        await eventually(lambda: view.position > before and "cancelled" in screen_text(app))


async def test_what_happened_while_another_view_was_shown_is_read(cluster: PrivateCluster) -> None:
    await cluster.client.start("tests/pause", {}, id="left")
    async with monitor(source_of(cluster), (120, 24)) as (app, pilot):
        await eventually(lambda: "left" in screen_text(app))
        await press(pilot, "enter")
        await eventually(lambda: "Waiting for" in screen_text(app))
        await press(pilot, "q")
        await cluster.client.cancel("left")
        await eventually(lambda: "cancelled" in screen_text(app))
        await press(pilot, "enter")
        await eventually(
            lambda: app.view_name == "execution" and "workflow.cancelled" in screen_text(app)
        )


async def test_marked_executions_are_cancelled_after_a_yes(cluster: PrivateCluster) -> None:
    for number in range(3):
        await cluster.client.start("tests/pause", {}, id=f"run-{number}")
    async with monitor(source_of(cluster)) as (app, pilot):
        await eventually(lambda: "run-0" in screen_text(app))
        await press(pilot, "x", "x", "ctrl+d")
        await eventually(lambda: isinstance(app.screen, Confirm))
        assert "run-2" in screen_text(app) and "run-1" in screen_text(app)
        await pilot.press("y")
        await eventually(lambda: screen_text(app).count("cancelled") == 2)
    assert (await cluster.client.get("run-0")).status == "waiting"


async def test_enter_is_no_yes(cluster: PrivateCluster) -> None:
    await cluster.client.start("tests/pause", {}, id="safe")
    async with monitor(source_of(cluster)) as (app, pilot):
        await eventually(lambda: "safe" in screen_text(app))
        await press(pilot, "ctrl+d")
        await eventually(lambda: isinstance(app.screen, Confirm))
        await pilot.press("enter")
        await eventually(lambda: not isinstance(app.screen, Confirm))
    assert (await cluster.client.get("safe")).status == "waiting"


async def test_suspending_and_resuming(cluster: PrivateCluster) -> None:
    await cluster.client.start("tests/pause", {}, id="held")
    async with monitor(source_of(cluster)) as (app, pilot):
        await eventually(lambda: "held" in screen_text(app))
        await press(pilot, "p")
        await eventually(lambda: "suspended" in screen_text(app))
        await press(pilot, "u")
        await eventually(lambda: "waiting" in screen_text(app))


async def test_a_form_made_from_the_schema_starts_an_execution(cluster: PrivateCluster) -> None:
    async with monitor(source_of(cluster)) as (app, pilot):
        await press(pilot, "4")
        await eventually(lambda: "tests/pause" in screen_text(app))
        await press(pilot, "G", "n")
        await eventually(lambda: isinstance(app.screen, Form))
        await pilot.press(*"many", "ctrl+s")
        assert isinstance(app.screen, Form)
        await pilot.press(*["backspace"] * 4, "7", "enter", *"ada", "enter", *"by-form", "enter")
        await eventually(lambda: app.view_name == "execution")
    details = await cluster.client.get("by-form")
    assert details.input == {"minutes": 7, "who": "ada"}


async def test_an_event_is_published_to_what_waits_for_it(cluster: PrivateCluster) -> None:
    await cluster.client.start("tests/ask", {}, id="asking")
    async with monitor(source_of(cluster)) as (app, pilot):
        await press(pilot, "6")
        await eventually(lambda: "asking" in screen_text(app))
        await press(pilot, "E")
        await eventually(lambda: isinstance(app.screen, Form))
        assert "com.example.answered" in screen_text(app)
        await pilot.press("ctrl+s")
        await eventually(lambda: not isinstance(app.screen, Form))
    assert (await cluster.client.result("asking", timeout=20)).status == "completed"


async def test_partitions_tell_their_owners(cluster: PrivateCluster) -> None:
    await cluster.client.start("tests/pause", {}, id="owned")
    async with monitor(source_of(cluster)) as (app, pilot):
        await press(pilot, "7")
        await eventually(lambda: "private" in screen_text(app))


async def test_it_connects_as_soon_as_there_is_a_cluster(cluster: PrivateCluster) -> None:
    attempts: list[int] = []

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        attempts.append(len(attempts))
        if len(attempts) < 2:
            raise UnavailableError("no cluster answers", hint="flunq up")
        yield cluster.client

    source = LiveSource(connect, link=Link(name="late"))
    async with monitor(source) as (app, _pilot):
        await eventually(lambda: source.link.state == "live")
        assert any("no cluster answers" in note.message for note in app._notifications)
        assert isinstance(app.view, ExecutionsView)


async def test_a_lost_cluster_is_told_and_the_data_stays(
    cluster: PrivateCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flunq_tui.live._PULSE", 0.1)
    await cluster.client.start("tests/pause", {}, id="kept")
    async with monitor(source_of(cluster)) as (app, _pilot):
        await eventually(lambda: "kept" in screen_text(app))
        assert cluster._server is not None
        await cluster._server.kill()
        await eventually(lambda: "reconnecting" in screen_text(app))
        assert "kept" in screen_text(app)


CHECK = """\
document: {dsl: 1.0.3, namespace: tests, name: check, version: 1.0.0}
do:
  - first: {set: {n: '${ .n }'}}
  - check:
      do:
        - small: {if: '${ .n < 10 }', set: {small: true}, then: exit}
        - refuse: {raise: {error: {type: 'https://example.com/x', status: 422, title: Too large}}}
"""


@asynccontextmanager
async def going_back(cluster: PrivateCluster) -> AsyncIterator[None]:
    """Let histories be replayed while the context is open, as the control process does."""
    assert cluster._stream is not None
    requests = cluster._stream.requests
    replaying = Replaying(cluster.client, requests)
    async with requests.serve(replay_subject("default"), replaying.answer):
        yield


async def test_a_retry_goes_on_from_the_task_that_failed(cluster: PrivateCluster) -> None:
    await cluster.client.apply(CHECK)
    run = await cluster.client.start("tests/check", {"n": 12}, id="large")
    await run.wait(20)
    async with going_back(cluster), monitor(source_of(cluster), (120, 24)) as (app, pilot):
        await eventually(lambda: "large" in screen_text(app))
        await press(pilot, "enter")
        await eventually(lambda: "Too large" in screen_text(app))
        view = app.view
        assert isinstance(view, ExecutionView)
        before = view.execution.last
        await press(pilot, "R")
        await eventually(lambda: view.execution.last > before + 1)
        assert view.execution.status(before) == "faulted"
        kinds = [each.type.rpartition(".")[2] for each in view.execution.events[before:]]
        assert kinds[0] == "retried"
        await eventually(lambda: view.execution.status(view.execution.last) == "faulted")


async def test_a_fork_from_the_start_with_another_input(cluster: PrivateCluster) -> None:
    await cluster.client.apply(CHECK)
    run = await cluster.client.start("tests/check", {"n": 12}, id="large")
    await run.wait(20)
    async with going_back(cluster), monitor(source_of(cluster), (120, 24)) as (app, pilot):
        await eventually(lambda: "large" in screen_text(app))
        await press(pilot, "F")
        await eventually(lambda: isinstance(app.screen, Choice))
        await pilot.press("down", "enter")
        await eventually(lambda: isinstance(app.screen, Editing))
        app.screen.query_one("#text", TextArea).text = '{"n": 3}'
        await pilot.press("ctrl+s")
        await eventually(lambda: app.view_name == "execution" and "completed" in screen_text(app))
        forked = app.view.items()[0].id
    details = await cluster.client.get(forked)
    assert (details.status, details.input) == ("completed", {"n": 3})


async def test_why_is_told_even_where_nobody_keeps_letters(cluster: PrivateCluster) -> None:
    await cluster.client.start("tests/ask", {}, id="asking")
    async with monitor(source_of(cluster)) as (app, pilot):
        await eventually(lambda: "asking" in screen_text(app))
        await pilot.press("w")
        await eventually(lambda: "ask: an event" in screen_text(app))
        assert "$ flunq emit" in screen_text(app)
