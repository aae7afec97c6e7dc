"""Where control goes after a state: transitions, ends, and what happens on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.converting.actions import run_workflow
from flunq.core.converting.events import produced
from flunq.core.converting.expressions import enclose
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Entry, Work

_COMPENSATION = "compensation has no counterpart"
_HINT = "write it as a try task whose catch undoes what was done"


class Flow:
    """Turns transitions and ends into flow directives of the main task list."""

    def __init__(self, work: Work, states: dict[str, str]) -> None:
        self._work = work
        self.states = states
        """New names of the states by their old ones."""

    def after(self, owner: Node, name: str) -> tuple[str, list[Entry]]:
        """Return the directive that follows an owner, and the tasks that it takes to get there."""
        transition, end = owner.get("transition"), owner.get("end")
        if transition is not None:
            return self._transition(transition, name)
        if end is not None:
            return self._end(end, name)
        owner.problem("this has neither a transition nor an end; the workflow ends here", "no-end")
        return "end", []

    def _transition(self, transition: Node, name: str) -> tuple[str, list[Entry]]:
        if not isinstance(transition.value, dict):
            return self._target(transition), []
        transition.only("nextState", "produceEvents", "compensate")
        self._refuse_compensation(transition)
        target = transition.get("nextState")
        directive = "end" if target is None else self._target(target)
        return self._on_the_way(self._events(transition), name, directive)

    def _target(self, state: Node) -> str:
        if isinstance(state.value, str) and state.value in self.states:
            return self.states[state.value]
        state.problem(f"there is no state {quoted(str(state.value))}", "unknown-reference")
        return "end"

    def _end(self, end: Node, name: str) -> tuple[str, list[Entry]]:
        if not isinstance(end.value, dict):
            return "end", []
        end.only("terminate", "produceEvents", "compensate", "continueAs")
        self._refuse_compensation(end)
        tasks = self._events(end)
        if (following := end.get("continueAs")) is not None:
            tasks.append({"continue as": self._continued(following)})
        return self._on_the_way(tasks, name, "end")

    def _events(self, owner: Node) -> list[Entry]:
        found = (produced(entry, self._work) for entry in owner.objects("produceEvents"))
        return [entry for entry in found if entry is not None]

    def _on_the_way(self, tasks: list[Entry], name: str, directive: str) -> tuple[str, list[Entry]]:
        if not tasks:
            return directive, []
        between = self._work.top.unique(f"{name}: then")
        return between, [{between: {"do": tasks, "then": directive}}]

    def _refuse_compensation(self, owner: Node) -> None:
        if owner.flag("compensate"):
            owner.leave_out("compensate", _COMPENSATION, "compensation", hint=_HINT)

    def _continued(self, following: Node) -> dict[str, Any]:
        """Return the task that starts another execution, which nobody waits for."""
        data = None
        reference = following
        if isinstance(following.value, dict):
            following.only("workflowId", "version", "data", "workflowExecTimeout")
            following.leave_out(
                "workflowExecTimeout",
                "the time limit of another workflow cannot be set from here",
                "timeout",
            )
            data = following.get("data")
            members = {k: v for k, v in following.value.items() if k in ("workflowId", "version")}
            reference = type(following)(members, following.pointer, following.findings)
        task = run_workflow(reference, self._work)
        if "run" in task:
            task["run"]["await"] = False
        if data is not None:
            wanted = self._work.rewriter.value(data)
            task["input"] = {"from": wanted}
            task["output"] = {"as": enclose("$task.input")}
        return task


def refuse_compensation(state: Node) -> None:
    """Note what a state says about compensation."""
    if "compensatedBy" in state:
        state.leave_out("compensatedBy", _COMPENSATION, "compensation", hint=_HINT)
