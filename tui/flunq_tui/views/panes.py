"""What stands beside the tree of an execution: values, errors, events, the source, the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq_tui import theme
from flunq_tui.model.difference import differences
from flunq_tui.model.execution import ROOT
from flunq_tui.model.formats import age, duration
from flunq_tui.model.graph import nodes
from flunq_tui.model.timeline import timeline
from flunq_tui.model.yaml_looks import looks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flunq.core.protocol import DefinitionText
    from flunq_tui.model.execution import Execution, Waiting
    from flunq_tui.model.tree import Row
    from flunq_tui.widgets.json_pane import JsonPane, Plain

PANES = (
    "input",
    "output",
    "context",
    "error",
    "why",
    "call",
    "event",
    "source",
    "graph",
    "timeline",
    "diff",
)
_UNSET = msgspec.UNSET
_SHOWN_LINES = 8
"""Lines of the source that an error is shown with."""


class Panes:
    """Fills the pane for a step and a position."""

    def __init__(self, pane: JsonPane, execution: Execution, say: Callable[..., str]) -> None:
        self.definition: DefinitionText | None = None
        self.compared: int | None = None
        """The step that others are compared with."""
        self.reasons: list[Plain] = []
        """Why the execution stands where it stands now."""
        self.tree: Sequence[Row] = ()
        self.moment = 0
        """The time that the screen shows."""
        self._pane = pane
        self._execution = execution
        self._say = say
        self._lines: dict[str, int] = {}

    def fill(self, name: str, step: int, position: int) -> None:
        """Show one pane."""
        known = self._execution.steps
        step = step if step in known else ROOT
        getattr(self, f"_{name}")(step, position)

    def best(self, step: int, position: int) -> str:
        """Return the pane that says most about a step."""
        execution = self._execution
        if (
            execution.error(step, position) is not None
            and execution.output(step, position) is _UNSET
        ):
            return "error"
        return "output" if execution.output(step, position) is not _UNSET else "input"

    # -- the course of things ----------------------------------------------------------------------

    def _why(self, step: int, position: int) -> None:
        if position == self._execution.last:
            lines = self.reasons or [((self._say("why.asking"), "dim"),)]
            self._pane.show_lines(lines, ("why", len(self.reasons)))
            return
        lines = [((self._say("why.then"), "title"),)]
        lines += [self._waited(each) for each in self._execution.waiting(position)]
        error = self._execution.error(ROOT, position)
        if error is not None:
            lines.append(((f"{error.get('title') or error.get('type')}", "bad"),))
        if len(lines) == 1:
            lines.append(((self._say("why.nothing"), "dim"),))
        self._pane.show_lines(lines, ("why", "then"))

    def _waited(self, each: Waiting) -> Plain:
        known = each.kind in ("retry", "wait", "listen")
        kind = self._say(f"waiting.{each.kind}") if known else each.kind
        when = age(each.due, self.moment) if each.due else duration(self.moment - each.since)
        return ((f"  {each.name}: ", "key"), (f"{kind} ", ""), (when, "dim"))

    def _timeline(self, step: int, position: int) -> None:
        lines = timeline(self.tree, self.moment, self._pane.size.width, step)
        self._pane.show_lines(lines, "timeline")

    # -- values ------------------------------------------------------------------------------------

    def _value(self, value: Any, name: str, step: int) -> None:
        if value is _UNSET:
            self._nothing(f"none.{name}", (name, step))
        else:
            self._pane.show_value(value, (name, step))

    def _nothing(self, message: str, identity: object) -> None:
        self._pane.show_lines([((self._say(message), "dim"),)], (identity, message))

    def _input(self, step: int, position: int) -> None:
        self._value(self._execution.input(step, position), "input", step)

    def _output(self, step: int, position: int) -> None:
        self._value(self._execution.output(step, position), "output", step)

    def _context(self, step: int, position: int) -> None:
        self._value(self._execution.context(position), "context", ROOT)

    def _call(self, step: int, position: int) -> None:
        self._value(self._execution.arguments(step, position), "call", step)

    def _event(self, step: int, position: int) -> None:
        execution = self._execution
        if not 0 < position <= execution.last:
            self._nothing("none.event", "event")
            return
        event = execution.events[position - 1]
        value = {
            "type": event.type,
            "seq": event.seq,
            "time": event.time,
            "source": event.source,
            "data": execution.data(position),
        }
        self._pane.show_value(value, ("event", position))

    def _error(self, step: int, position: int) -> None:
        error = self._execution.error(step, position)
        if error is None:
            self._nothing("none.error", ("error", step))
            return
        lines: list[Plain] = []
        for member in ("title", "status", "detail", "type", "instance"):
            if error.get(member) not in (None, ""):
                value = str(error[member])
                head = (f"{member}: ".ljust(10), "key")
                texts = value.split("\n")
                lines.append((head, (texts[0], "bad" if member == "title" else "")))
                lines += [((" " * 10, ""), (text, "")) for text in texts[1:]]
        line = self.line_of(str(error.get("instance", "")))
        if line is not None:
            lines += [(("", ""),), ((self._say("error.line", line=line + 1), "dim"),)]
            lines += [self._source_line(each) for each in self._lines_of_task(line)]
        self._pane.show_lines(lines, ("error", step, tuple(map(str, error.values()))))

    # -- the definition ----------------------------------------------------------------------------

    def line_of(self, reference: str) -> int | None:
        """Return the line (from 0) at which a task stands in the source."""
        if self.definition is None or not reference:
            return None
        if reference not in self._lines:
            self._lines[reference] = _line(self.definition.text, reference)
        return self._lines[reference]

    def _lines_of_task(self, first: int) -> range:
        """Return the first lines of the task that begins at a line: what stands deeper than it."""
        assert self.definition is not None
        text = self.definition.text.splitlines()
        last = first + 1
        while last < min(len(text), first + _SHOWN_LINES) and _depth(text[last]) > _depth(
            text[first]
        ):
            last += 1
        return range(first, last)

    def _source_line(self, line: int) -> Plain:
        assert self.definition is not None
        text = self.definition.text.splitlines()[line]
        return ((f"{line + 1:>4} ", "dim"), *looks_of(text))

    def _source(self, step: int, position: int) -> None:
        if self.definition is None:
            self._nothing("none.source", "source")
            return
        at = self.line_of(self._reference(step, position))
        count = len(self.definition.text.splitlines())
        lines = [self._source_line(line) for line in range(count)]
        self._pane.show_lines(lines, ("source", step), at=at or 0)

    def _reference(self, step: int, position: int) -> str:
        """Return the task that a step is of; for the execution, the one that its error names."""
        found = self._execution.steps.get(step)
        if found is not None:
            return found.reference
        error = self._execution.error(step, position)
        return "" if error is None else str(error.get("instance", ""))

    def _graph(self, step: int, position: int) -> None:
        if self.definition is None:
            self._nothing("none.source", "graph")
            return
        statuses = self._statuses(position)
        waiting = {each.step for each in self._execution.waiting(position)}
        here = {self._execution.steps[each].reference for each in waiting}
        mark = self._say("graph.here")
        lines = [
            graph_line(node, statuses.get(node.reference), mark if node.reference in here else "")
            for node in nodes(self.definition.document)
        ]
        found = self._execution.steps.get(step)
        references = [node.reference for node in nodes(self.definition.document)]
        at = references.index(found.reference) if found and found.reference in references else 0
        self._pane.show_lines(lines, ("graph", step), at=at)

    def _statuses(self, position: int) -> dict[str, tuple[str, int]]:
        """Return how the newest instance of each task is, and how many there were."""
        found: dict[str, tuple[str, int]] = {}
        for each in self._execution.steps.values():
            if each.is_there(position):
                times = found[each.reference][1] + 1 if each.reference in found else 1
                found[each.reference] = (each.status(position), times)
        return found

    # -- differences -------------------------------------------------------------------------------

    def _diff(self, step: int, position: int) -> None:
        execution = self._execution
        if self.compared is not None and self.compared != step:
            before = _best_value(execution, self.compared, position)
            after = _best_value(execution, step, position)
        else:
            before, after = execution.input(step, position), execution.output(step, position)
        if before is _UNSET or after is _UNSET:
            self._nothing("none.diff", ("diff", step, self.compared))
            return
        found = differences(before, after)
        identity = ("diff", step, self.compared, position)
        self._pane.show_differences(found, identity, self._say("none.difference"))


def graph_line(node: Any, state: tuple[str, int] | None, mark: str = "") -> Plain:
    """Return a task of the definition as a line."""
    status = state[0] if state is not None else ""
    style = theme.style_of(status) if status else "dim"
    sign = theme.glyph(status) if status else "○"
    branch = "│ " * node.depth
    parts: list[tuple[str, str]] = [(branch, "dim"), (f"{sign} ", style), (node.name, "title")]
    parts.append((f"  {node.kind}", "key"))
    if node.note:
        parts.append((f" {node.note}", ""))
    if node.goes:
        parts.append((f"  → {node.goes}", "accent"))
    if state is not None and state[1] > 1:
        parts.append((f"  x{state[1]}", "number"))
    if mark:
        parts.append((f"  ◀ {mark}", "accent"))
    return tuple(parts)


def _best_value(execution: Execution, step: int, position: int) -> Any:
    output = execution.output(step, position)
    return execution.input(step, position) if output is _UNSET else output


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _line(text: str, reference: str) -> int:
    from flunq.core.reading.source import read_source
    from flunq.errors import FlunqError

    try:
        return read_source(text, name="document").position(reference, key=True)[0] - 1
    except (FlunqError, KeyError, IndexError, ValueError):
        return 0
