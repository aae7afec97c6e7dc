"""What states do: the tasks inside them, from state data to state data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.converting import merging
from flunq.core.converting.actions import Actions, Result, action_name
from flunq.core.converting.event_states import event_body
from flunq.core.converting.events import Listening, or_timeout
from flunq.core.converting.expressions import enclose, literal
from flunq.core.converting.names import Names, variable
from flunq.core.converting.workspace import Entry, after

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Work


def _operation(state: Node, work: Work) -> list[Entry]:
    return Actions(work, state).by_mode(state)


def _inject(state: Node, work: Work) -> list[Entry]:
    data = work.rewriter.value(state.object("data"))
    if not data:
        return [{"inject": {"set": enclose(".")}}]
    output = merging.add() if _has_array(data) else "$task.input * ."
    return [{"inject": {"set": data, "output": {"as": enclose(output)}}}]


def _has_array(value: Any) -> bool:
    """Tell whether multiplying objects would not do: an array, or an expression that may be one."""
    if isinstance(value, dict):
        return any(_has_array(member) for member in value.values())
    return isinstance(value, list) or (isinstance(value, str) and "${" in value)


def _sleep(state: Node, work: Work) -> list[Entry]:
    duration = work.duration(state.get("duration"))
    if duration is None:
        state.problem("this needs a duration; nothing is waited for", "duration")
    return [{"sleep": {"wait": duration or "PT0S"}}]


def _callback(state: Node, work: Work) -> list[Entry]:
    """Listen while the action runs: its answer may come before it has returned."""
    reference = state.get("eventRef")
    listening = Listening([] if reference is None else [reference], work)
    waiting = listening.task()
    limit = work.timeout("eventTimeout", state)
    if limit:
        waiting = or_timeout("event", waiting, limit, "[]")
    action = Actions(work, state).task(state.object("action"))
    steps = listening.steps(state, listening.events)
    added = " | ".join(steps)
    if limit and steps:
        added = f"if $events == [] then . else {added} end"
    output = merging.with_events(".[0]", ".[1]", [added] if steps else [])
    fork = {"branches": [{Names(action).unique("event"): waiting}, action]}
    return [{"callback": {"fork": fork, "output": {"as": enclose(output)}}}]


def _parallel(state: Node, work: Work) -> list[Entry]:
    names = Names()
    branches: list[Entry] = []
    for branch in state.objects("branches"):
        branch.only("name", "timeouts", "actions")
        task: dict[str, Any] = {"do": Actions(work, branch, state).by_mode(branch)}
        if limit := work.timeout("branchExecTimeout", branch, state):
            task["timeout"] = after(limit)
        branches.append({names.unique(branch.text("name") or "branch"): task})
    fork: dict[str, Any] = {"branches": branches}
    output = merging.join_branches()
    if _first_wins(state, len(branches)):
        fork["compete"] = True
        output = merging.add()
    return [{"parallel": {"fork": fork, "output": {"as": enclose(output)}}}]


def _first_wins(state: Node, branches: int) -> bool:
    """Tell whether one branch is enough; other numbers but all have no counterpart."""
    if state.text("completionType") != "atLeast":
        return False
    wanted = state.get("numCompleted")
    number = str(None if wanted is None else wanted.value)
    if number == "1":
        return branches > 1
    if number != str(branches):
        state.leave_out(
            "completionType", "all branches are waited for: only one or all can be enough",
            "completion-type",
        )  # fmt: skip
    return False


def _foreach(state: Node, work: Work) -> list[Entry]:
    if state.text("mode") != "sequential":
        state.problem(
            "the iterations run one after the other: those of the new language do",
            "foreach-parallel",
            hint="write mode: sequential where that is meant",
        )
    parameter = state.text("iterationParam") or "item"
    loop = {
        "each": variable(parameter),
        "in": enclose(work.rewriter.field(state.get("inputCollection")) or "[]"),
    }
    iteration = _Iteration(state, work, parameter)
    return [{"each": {"for": loop, "do": [iteration.entry()]}}]


class _Iteration:
    """One iteration: its actions see the state data with the element, its result is collected."""

    def __init__(self, state: Node, work: Work, parameter: str) -> None:
        self._state = state
        self._work = work
        self._actions = Actions(work, state)
        self._to = work.rewriter.field(state.get("outputCollection"))
        self._input = f". + {{{literal(parameter)}: ${variable(parameter)}}}"

    def entry(self) -> Entry:
        """Return the task of one iteration."""
        actions = self._state.objects("actions")
        if len(actions) == 1:
            return {action_name(actions[0]): self._single(actions[0])}
        tasks = self._actions.sequence(actions)
        return {"iteration": self._around(tasks, merging.changes())}

    def _single(self, action: Node) -> dict[str, Any]:
        result = Result(action, self._work)
        if result.to:
            task = self._around([self._actions.task(action)], merging.changes())
        else:
            task = self._collecting(action, result)
        if "if" not in task and (wanted := self._work.rewriter.field(action.get("condition"))):
            task = {"if": enclose(f"({self._input}) | {wanted}"), **task}
        return task

    def _collecting(self, action: Node, result: Result) -> dict[str, Any]:
        """Return the task of an action whose result is collected as it is."""
        output = self._collected(result.results or ".") if result.used else "$task.input"
        task = self._actions.bare(action, result, output)
        if task.keys() & {"do", "try", "fork", "emit"}:
            plain = self._actions.bare(action, result, result.results or ".")
            return self._around([{action_name(action): plain}], "." if result.used else "")
        given = f"{self._input} | {result.from_state}" if result.from_state else self._input
        return {"input": {"from": enclose(given)}, **task}

    def _around(self, tasks: list[Entry], result: str) -> dict[str, Any]:
        output = self._collected(result) if result else "$task.input"
        return {
            "input": {"from": enclose(self._input)},
            "do": tasks,
            "output": {"as": enclose(output)},
        }

    def _collected(self, result: str) -> str:
        """Return the state data with a result among those collected."""
        if not self._to:
            return "$task.input"
        if result == ".":
            return f". as $result | $task.input | ({self._to}) += [$result]"
        if result.endswith("changed($input; .)"):
            return f"{result} as $result | $task.input | ({self._to}) += [$result]"
        return f"({result}) as $result | $task.input | ({self._to}) += [$result]"


BODIES: dict[str, Callable[[Node, Work], list[Entry]]] = {
    "operation": _operation,
    "inject": _inject,
    "sleep": _sleep,
    "callback": _callback,
    "parallel": _parallel,
    "foreach": _foreach,
    "event": event_body,
}
