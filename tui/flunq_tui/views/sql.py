"""Questions to the past: an editor, the answer as a table, a column as bars."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Vertical
from textual.widgets import TextArea

from flunq.store.query_job import Chunk, Done, Header
from flunq_tui.actions import Item
from flunq_tui.model.bars import bar
from flunq_tui.model.completing import QUERIES, completion
from flunq_tui.model.folding import compact
from flunq_tui.text import fit
from flunq_tui.views.base import Parts, View
from flunq_tui.views.bounded import BoundedRows
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult
    from textual.widget import Widget

    from flunq_tui.widgets.json_pane import Plain
    from flunq_tui.widgets.lines import Lines

MOST_ROWS = 10_000
_SAMPLE = 200
_WIDEST = 40
_BARS = 500
_BAR_WIDTH = 40


class Editor(TextArea):
    """A query with completion: the arrow to the right takes what is offered."""

    def update_suggestion(self) -> None:
        """Offer the rest of the word before the cursor."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        self.suggestion = completion(line[:column]) if column == len(line) else ""


class SqlView(View):
    """One query at a time; the cluster runs it, read only and within limits."""

    NAME: ClassVar[str] = "sql"
    DEFAULT_CSS = """
    SqlView Editor { height: 7; border: none; padding: 0; background: $boost; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows = BoundedRows()
        self._names: list[str] = []
        self._values: list[list[Any]] = []
        self._state: Parts = []
        self._asked: list[str] = []
        self._question = 0

    def compose(self) -> ComposeResult:
        """Editor above, table below."""
        with Vertical():
            yield Editor(QUERIES[0][1], language="sql", soft_wrap=True, compact=True, id="query")
            yield VirtualTable([Column(id="nothing", title="", width=1)], self._rows, id="answer")

    def on_mount(self) -> None:
        """Say how to run it."""
        self._state = [(self.say("sql.hint", key=self.monitor.keymap.shown("run")), "dim")]

    def first_focus(self) -> Widget | None:
        """Return the editor, or the answer once there is one."""
        answer = self.query_one("#answer", VirtualTable)
        return answer if self._names else self.query_one(Editor)

    def current(self) -> Lines | None:
        """Return the answer."""
        return self.query_one("#answer", VirtualTable)

    def title(self) -> Parts:
        """Return how the query fares."""
        return [(f"{self.say('view.sql')}  ", "bold"), *self._state]

    def do_run(self) -> None:
        """Run what is in the editor."""
        sql = self.query_one(Editor).text.strip()
        if sql:
            self._question += 1
            self._state = [(self.say("sql.running"), "$warning")]
            self.retitle()
            self.monitor.attempt(self._ask(sql, self._question), after=self._ended)

    def _ended(self, problem: str) -> None:
        if problem:
            self._state = [(problem.split("\n")[0], "$error")]
            self.monitor.tell(problem, error=True)
        self.retitle()

    async def _ask(self, sql: str, number: int) -> None:
        began = time.monotonic()
        names: list[str] = []
        values: list[list[Any]] = []
        done = Done(rows=0)
        async for reply in self.source.query(sql, MOST_ROWS):
            if number != self._question:
                return
            if isinstance(reply, Header):
                names = reply.names
            elif isinstance(reply, Chunk):
                values += reply.rows
            elif isinstance(reply, Done):
                done = reply
        self._names, self._values = names, values
        if sql not in self._asked:
            self._asked.append(sql)
        took = f"{time.monotonic() - began:.2f}s"
        count = f"{len(values):,}{'+' if done.more else ''}"
        self._state = [(self.say("sql.done", count=count, took=took), "")]
        if done.gap is not None:
            self._state.append((f"  {self.say('sql.gap')}", "$warning"))
            self.monitor.tell(str(done.gap), error=True)
        self._show()

    def _show(self) -> None:
        numeric = [self._is_numeric(at) for at in range(len(self._names))]
        columns = [
            Column(
                id=f"{at}:{name}",
                title=name,
                width=self._width(at, name),
                grow=0 if numeric[at] else 1,
                right=numeric[at],
                drop=at,
            )
            for at, name in enumerate(self._names)
        ]
        rows = [
            (number, tuple(_text(value) for value in row))
            for number, row in enumerate(self._values)
        ]
        self._rows.take(rows)
        table = self.query_one("#answer", VirtualTable)
        table.cursor = 0
        table.hidden = set()
        table.set_columns(columns)
        table.focus()
        self.retitle()

    def _is_numeric(self, at: int) -> bool:
        sample = [row[at] for row in self._values[:_SAMPLE] if row[at] is not None]
        return bool(sample) and all(_is_number(value) for value in sample)

    def _width(self, at: int, name: str) -> int:
        longest = max((len(_text(row[at])) for row in self._values[:_SAMPLE]), default=0)
        return min(max(len(name) + 2, longest), _WIDEST)

    def text_to_keep(self) -> str:
        """Return the query."""
        return self.query_one(Editor).text.strip()

    def do_edit(self) -> None:
        """Go to the editor."""
        self.query_one(Editor).focus()

    async def do_queries(self) -> None:
        """Choose a query: those that people begin with, and those of this session."""
        kept = self.memory.kept.queries
        asked = ((sql.replace("\n", " "), sql) for sql in reversed(self._asked))
        known = [*((f"★ {name}", sql) for name, sql in kept.items()), *QUERIES, *asked]
        options = [(str(at), title) for at, (title, _) in enumerate(known)]
        chosen = await self.monitor.choose(self.say("do.queries"), options)
        if chosen is not None:
            self.query_one(Editor).text = known[int(chosen)][1]
            self.do_run()

    async def do_plot(self) -> None:
        """Draw a numeric column as bars."""
        options = [(str(at), name) for at, name in enumerate(self._names) if self._is_numeric(at)]
        if not options:
            self.monitor.tell(self.say("sql.no_numbers"))
            return
        only = options[0][0] if len(options) == 1 else None
        chosen = only or await self.monitor.choose(self.say("do.plot"), options)
        if chosen is not None:
            at = int(chosen)
            await self.monitor.read(self._names[at], lines=self._bars(at))

    def _bars(self, at: int) -> list[Plain]:
        found = [(row, row[at]) for row in self._values[:_BARS] if _is_number(row[at])]
        highest = max((value for _, value in found), default=0) or 1
        lines: list[Plain] = []
        for row, value in found:
            label = " ".join(_text(each) for place, each in enumerate(row) if place != at)
            length = max(0, int(1_000_000 * value / highest))
            _, text = bar(0, length, 0, 1_000_000, _BAR_WIDTH)
            lines.append(
                ((f"{fit(label, 30)} ", ""), (text.ljust(_BAR_WIDTH), "run"), (f" {value}", ""))
            )
        return lines

    def item(self, key: Hashable) -> Item | None:
        """Return the row; the execution that it names, if it does."""
        if not isinstance(key, int) or key >= len(self._values):
            return None
        named = dict(zip(self._names, self._values[key], strict=True))
        found = named.get("execution_id") or named.get("id")
        return Item(str(found), "", "row") if found else Item(str(key), "", "row")

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Open the execution that the row names."""
        event.stop()
        key = self.query_one("#answer", VirtualTable).key
        if isinstance(key, int):
            named = dict(zip(self._names, self._values[key], strict=True))
            found = named.get("execution_id") or named.get("id")
            if isinstance(found, str):
                self.monitor.open_execution(found)

    def text_to_copy(self) -> str:
        """Return the row as JSON."""
        key = self.query_one("#answer", VirtualTable).key
        if not isinstance(key, int):
            return self.query_one(Editor).text
        return compact(dict(zip(self._names, self._values[key], strict=True)), 1_000_000)

    def step_back(self) -> bool:
        """Go to the editor, then give back the keys."""
        table = self.query_one("#answer", VirtualTable)
        if self.query_one(Editor).has_focus:
            table.focus()
            return True
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value)
