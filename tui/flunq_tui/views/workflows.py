"""The registered workflows: versions, how they fare, their source and their graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Horizontal, Vertical

from flunq_tui.actions import Item
from flunq_tui.model.filters import parse_filter
from flunq_tui.model.formats import age, duration
from flunq_tui.model.graph import nodes
from flunq_tui.model.yaml_looks import looks_of
from flunq_tui.source import Query
from flunq_tui.views.base import Parts, View
from flunq_tui.views.bounded import BoundedRows
from flunq_tui.views.panes import graph_line
from flunq_tui.widgets.json_pane import JsonPane
from flunq_tui.widgets.virtual_table import Column, VirtualTable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult
    from textual.events import Resize

    from flunq.core.protocol import Definition, DefinitionText, Summary
    from flunq_tui.widgets.lines import Lines
    from flunq_tui.widgets.virtual_table import Row

_LOOKED_AT = 500
"""The newest executions, from which success and durations are told."""
_FACTS = ("workflow", "title", "version")


class WorkflowsView(View):
    """A table, and the document beside it."""

    NAME: ClassVar[str] = "workflows"
    DEFAULT_CSS = """
    WorkflowsView #body { height: 1fr; layout: horizontal; }
    WorkflowsView #body.-narrow { layout: vertical; }
    WorkflowsView #left { width: 1fr; height: 1fr; }
    WorkflowsView #right { width: 1fr; height: 1fr; border-left: vkey $panel; }
    WorkflowsView .-narrow #right { border-left: none; }
    WorkflowsView .-right-alone #left { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows = BoundedRows()
        self._known: dict[str, Definition] = {}
        self._recent: list[Summary] = []
        self._texts: dict[str, DefinitionText] = {}
        self._graph = True

    def compose(self) -> ComposeResult:
        """Table and document."""
        columns = [
            Column(id="workflow", title=self.say("column.workflow"), width=18, grow=2),
            Column(id="version", title=self.say("column.version"), width=10),
            Column(id="runs", title=self.say("column.runs"), width=5, right=True, drop=2),
            Column(id="success", title=self.say("column.success"), width=8, right=True, drop=3),
            Column(id="median", title=self.say("column.median"), width=8, right=True, drop=4),
            Column(id="age", title=self.say("column.registered"), width=10, right=True, drop=5),
            Column(id="title", title=self.say("column.title"), width=12, grow=3, drop=6),
        ]
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield VirtualTable(columns, self._rows, id="workflows")
            with Vertical(id="right"):
                yield JsonPane(id="document")

    def on_resize(self, event: Resize) -> None:
        """Beside each other where there is room."""
        self.query_one("#body").set_class(event.size.width < 100, "-narrow")

    async def enter(self) -> None:
        """Read what is registered, and the newest executions."""
        self.monitor.attempt(self._read())

    async def _read(self) -> None:
        known = await self.source.workflows()
        self._recent = list(await self.source.executions(Query(limit=_LOOKED_AT)))
        self._known = {f"{each.namespace}/{each.name}:{each.version}": each for each in known}
        self._show()

    def _show(self) -> None:
        wanted = parse_filter(self.filter_text, _FACTS)
        rows: list[Row] = []
        for key, each in self._known.items():
            facts = {"workflow": key, "title": each.title, "version": each.version}
            if wanted.accepts(facts):
                rows.append((key, self._cells(each)))
        self._rows.take(rows)
        self.query_one("#workflows", VirtualTable).reload()
        self._show_document()
        self.retitle()

    def _cells(self, each: Definition) -> tuple[Any, ...]:
        mine = [
            run
            for run in self._recent
            if (run.namespace, run.workflow, run.version)
            == (each.namespace, each.name, each.version)
        ]
        ended = Counter(run.status for run in mine if run.ended_at)
        done = sum(ended.values())
        times = sorted(run.ended_at - run.started_at for run in mine if run.ended_at)
        success = f"{100 * ended['completed'] // done}%" if done else ""
        look = "bad" if done and ended["completed"] < done else "ok"
        latest = " *" if each.latest else ""
        return (
            f"{each.namespace}/{each.name}",
            f"{each.version}{latest}",
            f"{len(mine)}" if mine else "",
            (success, look),
            duration(times[len(times) // 2]) if times else "",
            (age(each.created_at, self.monitor.now()), "dim"),
            (each.title, "dim"),
        )

    def title(self) -> Parts:
        """Return how many there are."""
        count = self._rows.row_count()
        parts: Parts = [(self.say("view.workflows"), "bold"), (f"  {count}", "")]
        if self.filter_text:
            parts.append((f"  /{self.filter_text}", "$accent"))
        if not count:
            parts.append((f"  {self.say('empty.workflows')}", "dim"))
        return parts

    def set_filter(self, text: str) -> None:
        """Show only what a filter wants."""
        parse_filter(text, _FACTS)
        self.filter_text = text.strip()
        self._show()

    def item(self, key: Hashable) -> Item | None:
        """Return a version."""
        return Item(str(key), "", "workflow", str(key)) if key in self._known else None

    def items(self) -> tuple[Item, ...]:
        """Return the chosen versions, wherever the focus is."""
        chosen = self.query_one("#workflows", VirtualTable).chosen()
        return tuple(item for key in chosen if (item := self.item(key)) is not None)

    def on_lines_moved(self, event: Lines.Moved) -> None:
        """Show the document of the row."""
        event.stop()
        if event.lines.id == "workflows":
            self._show_document()
            self.monitor.show_hints()

    def _show_document(self) -> None:
        key = self.query_one("#workflows", VirtualTable).key
        if isinstance(key, str):
            self.monitor.attempt(self._read_document(key), group="document")

    async def _read_document(self, key: str) -> None:
        if key not in self._texts:
            self._texts[key] = await self.source.definition(key)
        if self.query_one("#workflows", VirtualTable).key != key:
            return
        pane, known = self.query_one("#document", JsonPane), self._texts[key]
        if self._graph:
            lines = [graph_line(node, None) for node in nodes(known.document)]
            pane.show_lines(lines, ("graph", key))
        else:
            pane.show_lines([looks_of(line) for line in known.text.splitlines()], ("source", key))

    def do_source(self) -> None:
        """Show the source in place of the graph, or the graph again."""
        self._graph = not self._graph
        self._show_document()

    def do_zoom(self) -> None:
        """Show the document alone."""
        self.query_one("#body").toggle_class("-right-alone")

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """Show the executions of the version."""
        event.stop()
        key = self.query_one("#workflows", VirtualTable).key
        if isinstance(key, str):
            self.monitor.show_view("executions", filter_text=f"workflow={key}")

    def text_to_copy(self) -> str:
        """Return the document as it was written."""
        key = self.query_one("#workflows", VirtualTable).key
        known = self._texts.get(str(key))
        return known.text if known is not None else ""


def input_schema(definition: DefinitionText) -> Any:
    """Return the inline schema of a workflow's input; None if it has none."""
    given = definition.document.get("input")
    schema = given.get("schema") if isinstance(given, dict) else None
    return schema.get("document") if isinstance(schema, dict) else None
