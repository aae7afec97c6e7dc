"""Queries: an answer as a table, an error as a line, a column as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.errors import RejectedError
from flunq.store.query_job import Chunk, Done, Gap, Header
from flunq_tui.dialogs.reading import Reading
from flunq_tui.recorded import RecordedSource
from flunq_tui.views.sql import Editor
from tests.support.monitor import assert_grid, monitor, press, screen_text
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.store.query_job import Reply


class Answering(RecordedSource):
    """A recording that somebody has asked before."""

    def __init__(self) -> None:
        super().__init__([])
        self.queries: list[str] = []

    async def query(self, sql: str, limit: int) -> AsyncIterator[Reply]:
        self.queries.append(sql)
        if "nothing" in sql:
            raise RejectedError("Catalog Error: Table nothing does not exist", hint="executions?")
        yield Header(names=["workflow", "runs"], kinds=["VARCHAR", "BIGINT"])
        yield Chunk(rows=[["order", 12], ["refund", 3]])
        yield Chunk(rows=[["[b]odd[/]\x1b[2J", None]])
        yield Done(rows=3, gap=Gap(first=5, last=9) if "events" in sql else None)


async def test_an_answer_is_a_table() -> None:
    source = Answering()
    async with monitor(source) as (app, pilot):
        await press(pilot, "9", "ctrl+r")
        await eventually(lambda: "3 rows in" in screen_text(app))
        shown = screen_text(app)
        assert "order" in shown and "[b]odd[/]␛[2J" in shown
        assert source.queries[0].startswith("select")


async def test_keys_in_the_editor_are_text() -> None:
    async with monitor(Answering()) as (app, pilot):
        await press(pilot, "9")
        editor = app.view.query_one(Editor)
        editor.text = ""
        await press(pilot, "q", "2", "question_mark")
        assert editor.text == "q2?"
        assert app.view_name == "sql"


async def test_a_refused_query_is_told_and_the_monitor_goes_on() -> None:
    async with monitor(Answering()) as (app, pilot):
        await press(pilot, "9")
        app.view.query_one(Editor).text = "select * from nothing"
        await press(pilot, "ctrl+r")
        await eventually(lambda: "Table nothing does not exist" in screen_text(app))


async def test_an_answer_that_lacks_something_says_so() -> None:
    async with monitor(Answering()) as (app, pilot):
        await press(pilot, "9", "ctrl+r")
        await eventually(lambda: "3 rows in" in screen_text(app))
        assert "not complete" not in screen_text(app)
        app.view.query_one(Editor).text = "from events"
        app.view.query_one(Editor).focus()
        await press(pilot, "ctrl+r")
        await eventually(lambda: "not complete" in screen_text(app))
        (told,) = app._notifications
        assert "lacks what it had from 5 to 9" in told.message


async def test_a_column_of_numbers_becomes_bars() -> None:
    async with monitor(Answering()) as (app, pilot):
        await press(pilot, "9", "ctrl+r")
        await eventually(lambda: "3 rows in" in screen_text(app))
        await pilot.press("b")
        await eventually(lambda: isinstance(app.screen, Reading))
        await pilot.pause()
        assert_grid(app, "sql-bars")


async def test_the_rest_of_a_word_is_offered() -> None:
    async with monitor(Answering()) as (app, pilot):
        await press(pilot, "9")
        editor = app.view.query_one(Editor)
        editor.text = ""
        await press(pilot, *"exe", "right")
        assert editor.text == "executions"
