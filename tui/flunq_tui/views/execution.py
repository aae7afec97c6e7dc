"""One execution: its tasks, values and history, as it is now or was after any event."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.widgets import ContentSwitcher

from flunq.core.statuses import ENDED
from flunq_tui import theme
from flunq_tui.actions import Item
from flunq_tui.model.execution import ROOT, Execution, Waiting
from flunq_tui.model.formats import MICROSECONDS, age, clock, duration, short_type
from flunq_tui.model.reasons import why_lines
from flunq_tui.model.tree import rows
from flunq_tui.views.execution_rows import EventRows, TreeRows, event_columns, tree_columns
from flunq_tui.views.panes import PANES, Panes
from flunq_tui.views.scrubbing import Scrubbing
from flunq_tui.widgets.json_pane import JsonPane
from flunq_tui.widgets.scrubber import Scrubber
from flunq_tui.widgets.status_lines import OneLine, PaneNames
from flunq_tui.widgets.virtual_table import VirtualTable

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Resize

    from flunq_tui.source import Events
    from flunq_tui.views.base import Parts
    from flunq_tui.widgets.lines import Lines

_SIDE_BY_SIDE = 100
"""Columns from which the pane stands beside the tree."""
_BATCH = 2_000
_WHY_PAUSE = 2.0
"""Seconds between two questions why, while events come."""


class ExecutionView(Scrubbing):
    """The execution that was opened last."""

    NAME: ClassVar[str] = "execution"
    DEFAULT_CSS = """
    ExecutionView #body { height: 1fr; layout: horizontal; }
    ExecutionView #body.-narrow { layout: vertical; }
    ExecutionView #left { width: 3fr; height: 1fr; }
    ExecutionView #right { width: 2fr; height: 1fr; border-left: vkey $panel; }
    ExecutionView .-narrow #left { width: 1fr; }
    ExecutionView .-narrow #right { width: 1fr; border-left: none; }
    ExecutionView #panes { background: $panel; }
    ExecutionView .-left-alone #right { display: none; }
    ExecutionView .-right-alone #left { display: none; }
    ExecutionView ContentSwitcher { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.execution = Execution()
        self.pane = "input"
        self._toggled: set[str] = set()
        self._tree = TreeRows(self)
        self._panes: Panes
        self._loaded = False
        """Whether its history was read, as far as it went; False while that goes on."""
        self._heard = 0
        """The newest event that was heard of, whether it was taken or not."""
        self._lost = 0
        self._problem = ""
        self._why_asked = 0.0

    def compose(self) -> ComposeResult:
        """Tree and pane, and the history below."""
        say = self.say
        pane = JsonPane(id="pane")
        self._panes = Panes(pane, self.execution, say)
        with Horizontal(id="body"):
            with Vertical(id="left"):
                with ContentSwitcher(initial="tree"):
                    yield VirtualTable(tree_columns(say), self._tree, id="tree")
                    yield VirtualTable(event_columns(say), EventRows(self), id="history")
                yield OneLine(id="waiting")
            with Vertical(id="right"):
                yield PaneNames(id="panes")
                yield pane
        yield Scrubber()

    def on_resize(self, event: Resize) -> None:
        """Beside each other where there is room."""
        self.query_one("#body").set_class(event.size.width < _SIDE_BY_SIDE, "-narrow")
        self.call_after_refresh(self._show_pane)

    # -- opening -----------------------------------------------------------------------------------

    def open(self, execution: str) -> None:
        """Show an execution from its newest event on."""
        self.stop_playing()
        self.execution = Execution(execution)
        self.position, self.live, self._loaded, self._heard = 0, True, False, 0
        self._toggled.clear()
        self.pane_chosen, self._problem = False, ""
        self.pane = "input"
        self.filter_text = ""
        self._why_asked = 0.0
        self._panes = Panes(self.query_one(JsonPane), self.execution, self.say)
        self.query_one("#tree", VirtualTable).cursor = 0
        self._show()
        self.monitor.attempt(self._load(self.execution), after=self._note_problem)

    async def _load(self, execution: Execution) -> None:
        try:
            await self._read(execution)
        finally:
            if execution is self.execution:
                self._loaded = True
        definition = await self.source.definition(execution.workflow)
        if execution is self.execution:
            self._panes.definition = definition
            self._show()
            if self._heard > execution.last:
                await self._catch_up(execution)  # it went on while its history was read

    async def _read(self, execution: Execution) -> None:
        batch = []
        async for event in self.source.history(execution.id):
            batch.append(event)
            if len(batch) == _BATCH:
                execution.extend(batch)
                batch = []
                self._arrived(execution)
        execution.extend(batch)
        self._arrived(execution)

    async def enter(self) -> None:
        """Read what was not heard of: while another view was shown, or the cluster was away."""
        if self.execution.id and self._loaded and self.source.link.state != "lost":
            self.monitor.attempt(self._catch_up(self.execution))

    async def _catch_up(self, execution: Execution) -> None:
        newest = (await self.source.details(execution.id)).seq
        if execution is self.execution and self._loaded and newest > execution.last:
            self._loaded = False
            self._heard = 0
            await self._load(execution)

    def _note_problem(self, problem: str) -> None:
        self._problem = problem
        self.retitle()

    def _arrived(self, execution: Execution) -> None:
        if execution is not self.execution:
            return
        if self.live:
            self.position = execution.last
        self._show()
        if self.live:
            self.query_one("#history", VirtualTable).move_to(self.position - 1, tell=False)

    def hear(self, events: Events) -> None:
        """Take what is about this execution."""
        execution = self.execution
        mine = [event for event in events if event.subject == execution.id]
        if not mine:
            return
        self._heard = mine[-1].seq
        if not self._loaded:
            return
        execution.extend(mine)
        if mine[-1].seq > execution.last:
            # Some were not heard of: the history has them.
            self._loaded = False
            self.monitor.attempt(self._load(execution), after=self._note_problem)
            return
        self._arrived(execution)

    # -- showing -----------------------------------------------------------------------------------

    def moment_shown(self) -> int:
        """Return the time that the screen shows: now, or that of a past event."""
        execution = self.execution
        if self.live and execution.status(self.position) not in ENDED and not self.source.offline:
            return self.monitor.now()
        return execution.moment(self.position) or self.monitor.now()

    @property
    def step(self) -> int:
        """The step under the cursor."""
        lines, at = self._tree.lines, self.query_one("#tree", VirtualTable).cursor
        return lines[at].step if at < len(lines) else ROOT

    def _show(self) -> None:
        self._tree.take(rows(self.execution, self.position, self._toggled))
        self.query_one("#tree", VirtualTable).reload()
        self.query_one("#history", VirtualTable).reload()
        self._show_around()

    def show_position(self) -> None:
        """Draw everything as it was after the event."""
        self._tree.take(rows(self.execution, self.position, self._toggled))
        table = self.query_one("#tree", VirtualTable)
        at = self._tree.locate(str(self.execution.step_of(self.position)))
        table.reload()
        table.move_to(at or 0, tell=False)
        self.query_one("#history", VirtualTable).move_to(self.position - 1, tell=False)
        self._show_around()

    def _show_around(self) -> None:
        execution = self.execution
        self._show_pane()
        self._show_waiting()
        label = ""
        if self.position:
            event = execution.events[self.position - 1]
            moment = clock(execution.moment(self.position), self.monitor.zone)
            label = f"{self.position}/{execution.last} {moment} {short_type(event.type)}"
        scrubber = self.query_one(Scrubber)
        scrubber.show(self.position, execution.last, execution.failures, label, live=self.live)
        self.retitle()
        self.monitor.show_hints()

    def _show_pane(self) -> None:
        if not self.pane_chosen:
            self.pane = self._panes.best(self.step, self.position)
        if self.pane == "why":
            self._ask_why()
        self._panes.tree, self._panes.moment = self._tree.lines, self.moment_shown()
        self._panes.fill(self.pane, self.step, self.position)
        self.query_one("#panes", PaneNames).show_names(
            [(name, self.say(f"pane.{name}")) for name in PANES], self.pane
        )

    def _ask_why(self) -> None:
        """Have it explained why it stands where it stands; of the past the history tells."""
        now = self.monitor.now() / MICROSECONDS
        if self.live and self.execution.last and now - self._why_asked >= _WHY_PAUSE:
            self._why_asked = now
            self.monitor.attempt(self._read_why(self.execution), after=self._note_problem)

    async def _read_why(self, execution: Execution) -> None:
        details = await self.source.details(execution.id)
        found = await self.source.why(execution.id)
        if execution is self.execution:
            self._panes.reasons = why_lines(details, found, self.monitor.now(), self.say)
            if self.pane == "why" and self.live:
                self._panes.fill("why", self.step, self.position)

    def _show_waiting(self) -> None:
        found = self.execution.waiting(self.position)
        now = self.moment_shown()
        line = self.query_one("#waiting", OneLine)
        line.display = bool(found)
        texts = [self._waiting_text(each, now) for each in found[:3]]
        more = f" +{len(found) - 3}" if len(found) > 3 else ""
        line.show_parts((f" {self.say('waiting.for')} ", "bold"), ("; ".join(texts) + more, ""))

    def _waiting_text(self, waiting: Waiting, now: int) -> str:
        known = waiting.kind in ("retry", "wait", "listen")
        kind = self.say(f"waiting.{waiting.kind}") if known else waiting.kind
        if waiting.due is not None:
            when = age(waiting.due, now) if waiting.due > now else self.say("waiting.now")
            return f"{waiting.name}: {kind} {when}"
        return f"{waiting.name}: {kind}, {duration(now - waiting.since)}"

    def title(self) -> Parts:
        """Return what it is and how it is."""
        execution = self.execution
        status = execution.status(self.position)
        parts: Parts = [(self.say("view.execution"), "bold"), (f"  {execution.id}", "")]
        if self._problem:
            return [*parts, (f"  {self._problem}", "$error")]
        if not execution.last:
            return [*parts, (f"  {self.say('list.loading')}", "dim")]
        took = duration(self.moment_shown() - execution.moment(1))
        colour = {"ok": "$success", "bad": "$error", "warn": "$warning", "run": "$primary"}
        look = colour.get(theme.style_of(status), "dim")
        word = self.say(f"status.{status}") if status in theme.GLYPHS else status
        parts += [(f"  {theme.glyph(status)} {word}", look), (f"  {took}", "")]
        parts.append((f"  {execution.workflow}", "dim"))
        if not self.live:
            past = self.say("scrub.past", position=self.position, last=execution.last)
            parts.insert(1, (f"  {past} ", "bold $warning"))
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        return parts

    def tick(self) -> None:
        """Countdowns and bars go on as long as the execution does."""
        if self._lost != self.source.lost_events:
            self._lost = self.source.lost_events
            self.monitor.run_worker(self.enter(), exit_on_error=False)
        if self.live and self.execution.status(self.position) not in ENDED:
            self.query_one("#tree", VirtualTable).reload()
            self._show_waiting()
            self.retitle()
            if self.pane in ("timeline", "why"):
                self._show_pane()

    def items(self) -> tuple[Item, ...]:
        """Return the execution itself, as it is now."""
        execution = self.execution
        if not execution.last:
            return ()
        status = execution.status(execution.last)
        return (Item(execution.id, status, "execution", execution.workflow.rpartition(":")[0]),)

    def do_events(self) -> None:
        """Show the events in place of the tree, or the tree again."""
        if self.query_one(ContentSwitcher).current == "tree":
            self.show_events()
        else:
            self._show_in_place("tree")

    def show_events(self) -> None:
        """Show the events in place of the tree."""
        self._show_in_place("history").move_to(self.position - 1, tell=False)

    def _show_in_place(self, name: str) -> VirtualTable:
        self.query_one(ContentSwitcher).current = name
        table = self.query_one(f"#{name}", VirtualTable)
        table.focus()
        return table

    def first_focus(self) -> Lines | None:
        """The tree or the events."""
        current = self.query_one(ContentSwitcher).current
        return self.query_one(f"#{current}", VirtualTable)

    # -- tree and pane -----------------------------------------------------------------------------

    def on_lines_moved(self, event: Lines.Moved) -> None:
        """Another task, or another event."""
        event.stop()
        if event.lines.id == "tree":
            self._show_pane()
        elif event.lines.id == "history":
            self.stop_playing()
            self.seek(event.lines.cursor + 1)

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Fold what was opened."""
        event.stop()
        if event.lines.id == "tree":
            self._toggle(None)
        elif isinstance(event.lines, JsonPane) and self.pane == "error":
            self.show_pane("source")
        elif isinstance(event.lines, JsonPane):
            event.lines.toggle()

    def _toggle(self, folded: bool | None) -> None:
        table = self.query_one("#tree", VirtualTable)
        if table.cursor >= len(self._tree.lines):
            return
        row = self._tree.lines[table.cursor]
        if row.folded is None or row.folded == folded:
            return
        self._toggled.symmetric_difference_update({row.key})
        self._tree.take(rows(self.execution, self.position, self._toggled))
        table.reload()

    def do_fold(self) -> None:
        """Fold what is under the cursor, or go to what it is part of."""
        current = self.current()
        if isinstance(current, JsonPane):
            current.fold_deep(True)
            return
        lines, table = self._tree.lines, self.query_one("#tree", VirtualTable)
        if not lines:
            return
        row = lines[min(table.cursor, len(lines) - 1)]
        if row.folded is False:
            self._toggle(True)
            return
        above = [at for at in range(table.cursor) if lines[at].depth < row.depth]
        if above:
            table.move_to(above[-1])

    def do_unfold(self) -> None:
        """Unfold what is under the cursor."""
        current = self.current()
        if isinstance(current, JsonPane):
            current.fold_deep(False)
        else:
            self._toggle(False)

    def do_next_pane(self) -> None:
        """Show the next pane."""
        self.show_pane(PANES[(PANES.index(self.pane) + 1) % len(PANES)])

    def show_pane(self, name: str) -> None:
        """Show one pane from now on."""
        self.pane, self.pane_chosen = name, True
        self._show_pane()

    def on_pane_names_chosen(self, event: PaneNames.Chosen) -> None:
        """The name of a pane was clicked."""
        self.show_pane(event.name)

    def do_mark(self) -> None:
        """Compare other tasks with this one."""
        self._panes.compared = self.step
        step = self.execution.steps.get(self.step)
        name = step.name if step is not None else self.execution.workflow
        self.monitor.tell(self.say("diff.marked", name=name))

    def do_diff(self) -> None:
        """Show what differs: from the marked task, or between input and output."""
        self.show_pane("diff")

    def do_source(self) -> None:
        """Show the task in the source."""
        self.show_pane("source")

    def do_json(self) -> None:
        """Show the event."""
        self.show_pane("event")

    def do_zoom(self) -> None:
        """Show the tree alone, the pane alone, or both."""
        body = self.query_one("#body")
        in_pane = isinstance(self.current(), JsonPane)
        alone = body.has_class("-left-alone") or body.has_class("-right-alone")
        body.set_class(not alone and not in_pane, "-left-alone")
        body.set_class(not alone and in_pane, "-right-alone")

    def set_filter(self, text: str) -> None:
        """Look for a text in the pane."""
        self.filter_text = text.strip()
        pane = self.query_one(JsonPane)
        if not pane.find(self.filter_text):
            self.monitor.tell(self.say("none.found", text=self.filter_text))
        self.retitle()

    def do_find_next(self) -> None:
        """Go to the next place."""
        if self.filter_text:
            self.query_one(JsonPane).find(self.filter_text, again=True)

    def text_to_copy(self) -> str:
        """Return the value that the pane shows."""
        return self.query_one(JsonPane).text_to_copy()

    def step_back(self) -> bool:
        """Leave the past first, then the panes."""
        body = self.query_one("#body")
        if self._playing is not None:
            self.stop_playing()
        elif body.has_class("-left-alone") or body.has_class("-right-alone"):
            body.remove_class("-left-alone", "-right-alone")
        elif self._panes.compared is not None:
            self._panes.compared = None
            self._show_pane()
        elif not self.live:
            self.do_last_event()
        else:
            return super().step_back()
        return True
