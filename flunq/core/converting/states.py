"""States: each becomes one task of the main list, sometimes with a switch behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.converting.bodies import BODIES
from flunq.core.converting.catching import Caught, caught
from flunq.core.converting.event_states import EventSwitch, started_body
from flunq.core.converting.expressions import enclose
from flunq.core.converting.flow import refuse_compensation
from flunq.core.converting.functions import failing
from flunq.core.converting.names import Names
from flunq.core.converting.workspace import Entry, after
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.converting.findings import Node
    from flunq.core.converting.flow import Flow
    from flunq.core.converting.workspace import Work

_COMMON = (
    "id", "name", "type", "end", "transition", "stateDataFilter", "timeouts", "onErrors",
    "compensatedBy", "usedForCompensation", "metadata",
)  # fmt: skip
_OWN = {
    "operation": ("actionMode", "actions"),
    "inject": ("data",),
    "sleep": ("duration",),
    "switch": ("dataConditions", "eventConditions", "defaultCondition", "eventTimeout"),
    "event": ("exclusive", "onEvents", "eventTimeout"),
    "callback": ("action", "eventRef", "eventDataFilter", "eventTimeout"),
    "foreach": (
        "inputCollection", "outputCollection", "iterationParam", "batchSize", "actions", "mode",
    ),
    "parallel": ("branches", "completionType", "numCompleted"),
}  # fmt: skip


class States:
    """Converts states."""

    def __init__(self, work: Work, flow: Flow) -> None:
        self._work = work
        self._flow = flow

    def convert(self, state: Node, name: str, *, starting: bool = False) -> list[Entry]:
        """Return the tasks of a state; ``starting``: its events started the workflow."""
        kind = state.text("type")
        if kind not in _OWN:
            state.problem(f"there are no states of type {quoted(kind)}", "state-type")
            return [{name: failing(f"the state {name} could not be converted")}]
        state.only(*_COMMON, *_OWN[kind])
        refuse_compensation(state)
        if kind == "switch":
            return self._switch(state, name)
        convert = started_body if starting else BODIES[kind]
        body = convert(state, self._work)
        directive, on_the_way = self._flow.after(state, name)
        found = caught(state, self._work, self._flow, name)
        task = self._assembled(state, body, found)
        if not found.routes:
            return [{name: {**task, "then": directive}}, *on_the_way]
        router = found.router(directive)
        return [{name: {**task, "then": found.name}}, router, *on_the_way, *found.tasks]

    def _assembled(self, state: Node, body: list[Entry], found: Caught) -> dict[str, Any]:
        """Put filters, error handling and the time limit around the tasks of a state."""
        before, behind = self._filters(state)
        limit = self._work.timeout("stateExecTimeout", state)
        if found.catch:
            if behind:
                body = [{"run": {"do": body, "output": {"as": enclose(behind)}}}]
            task: dict[str, Any] = {"try": body, "catch": found.catch}
            behind = ""
        elif len(body) == 1 and not (before or behind) and _fits(body[0], limit):
            task = dict(next(iter(body[0].values())))
        else:
            task = {"do": body}
        return _surrounded(state, task, before, behind, limit)

    def _filters(self, state: Node) -> tuple[str, str]:
        wanted = state.object("stateDataFilter")
        wanted.only("input", "output")
        rewriter = self._work.rewriter
        return rewriter.field(wanted.get("input")), rewriter.field(wanted.get("output"))

    def _switch(self, state: Node, name: str) -> list[Entry]:
        state.leave_out(
            "onErrors", "errors of a switch cannot be caught: it only evaluates conditions",
            "switch-errors",
        )  # fmt: skip
        before, behind = self._filters(state)
        limit = self._work.timeout("stateExecTimeout", state)
        if "eventConditions" in state:
            return self._event_switch(state, name, before, behind, limit)
        cases, on_the_way = self._cases(state, name, "dataConditions", self._data_condition)
        switch = _surrounded(state, {"switch": cases}, before, behind, limit)
        return [{name: switch}, *on_the_way]

    def _event_switch(
        self, state: Node, name: str, before: str, behind: str, limit: str | None
    ) -> list[Entry]:
        found = EventSwitch(state, self._work)
        waiting = found.waiting()
        if before or limit:
            waiting = {"do": [{"event": waiting}]}
        router = self._work.top.unique(f"{name}: which")
        first = _surrounded(state, {**waiting, "then": router}, before, "", limit)
        cases, on_the_way = self._cases(state, name, "eventConditions", found.arrived)
        output = f"{found.output()} | {behind}" if behind else found.output()
        routing = {"switch": cases, "output": {"as": enclose(output)}}
        return [{name: first}, {router: routing}, *on_the_way]

    def _data_condition(self, case: Node) -> str:
        case.only("name", "condition", "transition", "end", "metadata")
        return self._work.rewriter.field(case.get("condition")) or "false"

    def _cases(
        self, state: Node, name: str, member: str, condition: Callable[[Node], str]
    ) -> tuple[list[Entry], list[Entry]]:
        """Return the cases of a switch, the default last, and the tasks behind them."""
        names = Names(("default",))
        cases: list[Entry] = []
        on_the_way: list[Entry] = []
        for case in state.objects(member):
            called = names.unique(case.text("name") or case.text("eventRef") or "case")
            directive, tasks = self._flow.after(case, f"{name}: {called}")
            cases.append({called: {"when": enclose(condition(case)), "then": directive}})
            on_the_way += tasks
        directive, tasks = "end", []
        default = state.get("defaultCondition")
        if default is not None and default.expect(dict):
            default.only("transition", "end")
            directive, tasks = self._flow.after(default, f"{name}: default")
        cases.append({"default": {"then": directive}})
        return cases, on_the_way + tasks


def _fits(entry: Entry, limit: str | None) -> bool:
    """Tell whether a task can stand for its state: it has no other time limit."""
    return not limit or "timeout" not in next(iter(entry.values()))


def _surrounded(
    state: Node, task: dict[str, Any], before: str, behind: str, limit: str | None
) -> dict[str, Any]:
    if before:
        task = {"input": {"from": enclose(before)}, **task}
    if behind:
        task["output"] = {"as": enclose(behind)}
    if limit:
        task["timeout"] = after(limit)
    if metadata := state.object("metadata").value:
        task["metadata"] = metadata
    return task
