"""Long lists: only what is seen is asked for, and nothing jumps."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import msgspec
from textual.app import App

from flunq_tui.recorded import RecordedSource, Recording
from flunq_tui.views.executions import PAGE
from flunq_tui.widgets.virtual_table import Column, VirtualTable
from tests.support.driver import EPOCH
from tests.support.monitor import monitor, press, screen_text, summaries

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.app import ComposeResult

    from flunq_tui.widgets.virtual_table import Row

MANY = 100_000


class Numbers:
    """A table of numbers that notes which rows were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[range] = []

    def row_count(self) -> int:
        return self.count

    def page(self, offset: int, count: int) -> Sequence[Row]:
        wanted = range(offset, min(offset + count, self.count))
        self.asked.append(wanted)
        return [(number, (str(number),)) for number in wanted]

    def locate(self, key: Hashable) -> int | None:
        return key if isinstance(key, int) and key < self.count else None


async def test_of_many_executions_the_first_page_is_read() -> None:
    source = RecordedSource(summaries(MANY))
    async with monitor(source) as (app, _):
        assert sum(query.limit for query in source.asked) <= 2 * PAGE
        assert "run-099999" in screen_text(app)


async def test_going_to_the_end_reads_everything_once() -> None:
    source = RecordedSource(summaries(5_000))
    async with monitor(source) as (app, pilot):
        await press(pilot, "G")
        assert "run-000000" in screen_text(app)
        assert "5,000" in screen_text(app)


class Alone(App[None]):
    """An app with a table and nothing else."""

    def __init__(self, rows: Numbers) -> None:
        super().__init__()
        self.table = VirtualTable([Column(id="n", title="N", width=8)], rows)

    def compose(self) -> ComposeResult:
        yield self.table


async def test_a_table_asks_for_the_rows_on_the_screen_and_no_others() -> None:
    app = Alone(rows := Numbers(MANY))
    async with app.run_test() as pilot:
        table = app.table
        for place in (50_000, 99_999, 3):
            table.move_to(place)
            await pilot.pause()
        assert max(len(wanted) for wanted in rows.asked) <= 3 * table.rows_visible
        assert len(set().union(*rows.asked)) < 1_000


async def test_many_rows_cost_no_memory_of_the_table() -> None:
    app = Alone(Numbers(MANY))
    async with app.run_test() as pilot:
        table = app.table
        tracemalloc.start()
        for place in range(0, MANY, 4_000):
            table.move_to(place)
            await pilot.pause()
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert grown < 8_000_000


async def test_new_executions_do_not_move_a_list_that_was_scrolled() -> None:
    recordings = summaries(300)
    source = RecordedSource(recordings[:290])
    async with monitor(source) as (app, pilot):
        await press(pilot, "down", "down", "down")
        before = _body(screen_text(app))
        _reveal(source, recordings[290:])
        await app.view._news()  # type: ignore[attr-defined]
        await pilot.pause()
        assert _body(screen_text(app)) == before
        assert "10 new, f follows" in screen_text(app)
        await press(pilot, "f")
        assert "run-000299" in screen_text(app)


async def test_a_list_at_its_top_follows() -> None:
    recordings = summaries(40)
    source = RecordedSource(recordings[:30])
    async with monitor(source) as (app, pilot):
        _reveal(source, recordings[30:])
        await app.view._news()  # type: ignore[attr-defined]
        await pilot.pause()
        assert "run-000039" in screen_text(app)


async def test_sorting_keeps_every_row() -> None:
    source = RecordedSource(summaries(50))
    async with monitor(source) as (app, pilot):
        app.view._sort("id", reverse=False)  # type: ignore[attr-defined]
        await press(pilot)
        lines = _body(screen_text(app)).splitlines()
        found = [line.split()[3] for line in lines if "run-" in line]
        assert found == sorted(found) and found[0] == "run-000000"


async def test_marks_hold_through_changes() -> None:
    source = RecordedSource(summaries(20))
    async with monitor(source) as (app, pilot):
        await press(pilot, "x", "x", "j", "j", "X")
        assert [item.id for item in app.view.items()] == [
            f"run-{number:06d}" for number in (19, 18, 17, 16, 15)
        ]
        await press(pilot, "escape")
        assert len(app.view.items()) == 1


async def test_a_filter_is_asked_of_the_cluster_where_it_can_be() -> None:
    source = RecordedSource(summaries(1_000))
    async with monitor(source) as (app, pilot):
        await press(pilot, "slash", *"status:faulted", "enter")
        assert source.asked[-1].statuses == ("faulted",)
        assert "completed" not in _body(screen_text(app))


def _reveal(source: RecordedSource, recordings: list[Recording]) -> None:
    other = RecordedSource([*source._recordings.values(), *recordings])
    source._recordings, source._order = other._recordings, other._order


def _body(text: str) -> str:
    """Return the rows of the table, without its scroll bar."""
    return "\n".join(line[:97].rstrip() for line in text.splitlines()[3:-1])


def test_the_recordings_differ() -> None:
    first, second = summaries(2)
    assert first.details.started_at == EPOCH
    assert msgspec.structs.asdict(first.details) != msgspec.structs.asdict(second.details)
