"""The registered workflows: versions, how they fare, their source and their graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from flunq_tui.actions import Item
from flunq_tui.model.formats import age, duration
from flunq_tui.model.graph import nodes
from flunq_tui.model.yaml_looks import looks_of
from flunq_tui.source import Query
from flunq_tui.views.beside import Beside
from flunq_tui.views.panes import graph_line
from flunq_tui.widgets.virtual_table import Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from flunq.core.protocol import Definition, DefinitionText, Summary

_LOOKED_AT = 500
"""The newest executions, from which success and durations are told."""


class WorkflowsView(Beside):
    """A table, and the document beside it."""

    NAME: ClassVar[str] = "workflows"
    PANE: ClassVar[str] = "document"
    FACTS: ClassVar[tuple[str, ...]] = ("workflow", "title", "version")

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Definition] = {}
        self._recent: list[Summary] = []
        self._texts: dict[str, DefinitionText] = {}
        self._graph = True

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return [
            Column(id="workflow", title=self.say("column.workflow"), width=18, grow=2),
            Column(id="version", title=self.say("column.version"), width=10),
            Column(id="runs", title=self.say("column.runs"), width=5, right=True, drop=2),
            Column(id="success", title=self.say("column.success"), width=8, right=True, drop=3),
            Column(id="median", title=self.say("column.median"), width=8, right=True, drop=4),
            Column(id="age", title=self.say("column.registered"), width=10, right=True, drop=5),
            Column(id="title", title=self.say("column.title"), width=12, grow=3, drop=6),
        ]

    async def enter(self) -> None:
        """Read what is registered, and the newest executions."""
        self.monitor.attempt(self._read())

    async def _read(self) -> None:
        known = await self.source.workflows()
        self._recent = list(await self.source.executions(Query(limit=_LOOKED_AT)))
        self._known = {f"{each.namespace}/{each.name}:{each.version}": each for each in known}
        self.show_rows()

    def entries(self) -> Iterable[tuple[str, dict[str, str], Definition]]:
        """Return key, facts and definition of each row."""
        for key, each in self._known.items():
            yield key, {"workflow": key, "title": each.title, "version": each.version}, each

    def cells(self, key: str, each: Definition) -> tuple[Any, ...]:
        """Return the cells of a row."""
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

    def item(self, key: Hashable) -> Item | None:
        """Return a version."""
        return Item(str(key), "", "workflow", str(key)) if key in self._known else None

    def show_beside(self) -> None:
        """Show the document of the row."""
        key = self.rows.key
        if isinstance(key, str):
            self.monitor.attempt(self._read_document(key), group="document")

    async def _read_document(self, key: str) -> None:
        if key not in self._texts:
            self._texts[key] = await self.source.definition(key)
        if self.rows.key != key:
            return
        pane, known = self.pane, self._texts[key]
        if self._graph:
            lines = [graph_line(node, None) for node in nodes(known.document)]
            pane.show_lines(lines, ("graph", key))
        else:
            pane.show_lines([looks_of(line) for line in known.text.splitlines()], ("source", key))

    def do_source(self) -> None:
        """Show the source in place of the graph, or the graph again."""
        self._graph = not self._graph
        self.show_beside()

    def text_to_copy(self) -> str:
        """Return the document as it was written."""
        known = self._texts.get(str(self.rows.key))
        return known.text if known is not None else ""


def input_schema(definition: DefinitionText) -> Any:
    """Return the inline schema of a workflow's input; None if it has none."""
    given = definition.document.get("input")
    schema = given.get("schema") if isinstance(given, dict) else None
    return schema.get("document") if isinstance(schema, dict) else None
