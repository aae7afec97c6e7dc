"""Actions: one call, event exchange or workflow of a state, with all that surrounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.converting import merging
from flunq.core.converting.events import Listening, emit
from flunq.core.converting.expressions import enclose
from flunq.core.converting.failures import condition, matching
from flunq.core.converting.functions import call_function, failing, refused
from flunq.core.converting.names import Names
from flunq.core.converting.workspace import Entry, Work, after, reference, version
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node

_KNOWN = (
    "id", "name", "functionRef", "eventRef", "subFlowRef", "sleep", "retryRef",
    "nonRetryableErrors", "retryableErrors", "actionDataFilter", "condition",
)  # fmt: skip


class Result:
    """What an action's result is and where it goes: its ``actionDataFilter``."""

    def __init__(self, action: Node, work: Work) -> None:
        wanted = action.object("actionDataFilter")
        wanted.only("fromStateData", "useResults", "results", "toStateData")
        rewriter = work.rewriter
        self.from_state = rewriter.field(wanted.get("fromStateData"))
        self.results = rewriter.field(wanted.get("results"))
        self.to = rewriter.field(wanted.get("toStateData"))
        self.used = wanted.flag("useResults", default=True) and not is_async(action)

    def output(self) -> str:
        """Return the output of the action's task: the state data, with the result in it."""
        return merging.add(self.results, self.to) if self.used else "$task.input"


class Actions:
    """Converts the actions of one state or branch."""

    def __init__(self, work: Work, *owners: Node) -> None:
        self._work = work
        self._limit = work.timeout("actionExecTimeout", *owners)
        self._names = Names()

    def sequence(self, actions: list[Node]) -> list[Entry]:
        """Return tasks that run one after the other, handing the state data on."""
        return [self.task(action) for action in actions]

    def together(self, actions: list[Node]) -> list[Entry]:
        """Return tasks that run at the same time."""
        if len(actions) < 2:
            return self.sequence(actions)
        fork = {"branches": self.sequence(actions)}
        output = {"as": enclose(merging.join_branches())}
        return [{self._names.unique("together"): {"fork": fork, "output": output}}]

    def by_mode(self, owner: Node) -> list[Entry]:
        """Return the tasks of an owner's actions, as its ``actionMode`` says."""
        actions = owner.objects("actions")
        if owner.text("actionMode") == "parallel":
            return self.together(actions)
        return self.sequence(actions)

    def task(self, action: Node) -> Entry:
        """Return the task of one action."""
        result = Result(action, self._work)
        task = self.bare(action, result, result.output())
        if wanted := self._work.rewriter.field(action.get("condition")):
            task = {"if": enclose(wanted), **task}
        return {self._names.unique(action_name(action)): task}

    def bare(self, action: Node, result: Result, output: str) -> dict[str, Any]:
        """Return the task of one action without its condition, with an output of the caller's."""
        action.only(*_KNOWN)
        task = self._effect(action, output)
        if result.from_state:
            task = {"input": {"from": enclose(result.from_state)}, **task}
        if self._limit and "timeout" not in task and not is_async(action):
            task["timeout"] = after(self._limit)
        return self._slept(action, self._retried(action, task))

    def _effect(self, action: Node, output: str) -> dict[str, Any]:
        work = self._work
        function, event = action.get("functionRef"), action.get("eventRef")
        workflow = action.get("subFlowRef")
        if function is not None:
            task = call_function(function, work)
            if is_async(action):
                return _unobserved(function, task, output)
        elif event is not None and event.expect(dict):
            return self._exchange(event, output)
        elif workflow is not None:
            task = run_workflow(workflow, work)
        else:
            task = refused(action, "an action needs a function, an event or a workflow", "action")
        return task if "raise" in task else {**task, "output": {"as": enclose(output)}}

    def _exchange(self, event: Node, output: str) -> dict[str, Any]:
        """Return the task for an event that is sent, and another that is waited for."""
        work = self._work
        event.only(
            "triggerEventRef", "resultEventRef", "resultEventTimeout",
            "data", "contextAttributes", "invoke",
        )  # fmt: skip
        trigger = work.find("events", event.get("triggerEventRef"))
        if trigger is None:
            return failing("there is no event to send")
        sending = emit(trigger, event.get("data"), event.get("contextAttributes"), work)
        answer = event.get("resultEventRef")
        if answer is None or event.text("invoke") == "async":
            return sending
        listening = Listening([answer], work)
        waiting = listening.task()
        limit = work.duration(event.get("resultEventTimeout")) or self._limit
        if limit:
            waiting["timeout"] = after(limit)
        whole = not all(found.flag("dataOnly", default=True) for found in listening.events)
        waiting["output"] = {"as": enclose(".[0]" if whole else ".[0].data")}
        return _both("answer", waiting, "trigger", sending, output)

    def _retried(self, action: Node, task: dict[str, Any]) -> dict[str, Any]:
        if is_async(action):
            return task
        named = self._work.find("retries", action.get("retryRef"))
        if named is None and not self._work.auto_retries:
            return task
        catch: dict[str, Any] = {}
        if self._work.auto_retries:
            spared = action.texts("nonRetryableErrors")
            if spared:
                catch["exceptWhen"] = enclose(condition(spared, self._work))
        elif wanted := action.texts("retryableErrors"):
            catch = matching(wanted, self._work)
        policy = self._work.retry(named.text("name") if named is not None else "default")
        name = f"try {action_name(action)}"
        return {"try": [{name: task}], "catch": {**catch, "retry": policy}}

    def _slept(self, action: Node, task: dict[str, Any]) -> dict[str, Any]:
        sleep = action.object("sleep")
        before = self._work.duration(sleep.get("before"))
        behind = self._work.duration(sleep.get("after"))
        if not (before or behind):
            return task
        tasks: list[Entry] = [{action_name(action): task}]
        if before:
            tasks.insert(0, {"sleep before": {"wait": before}})
        if behind:
            tasks.append({"sleep after": {"wait": behind}})
        return {"do": tasks}


def action_name(action: Node) -> str:
    """Return what an action is called."""
    if name := action.text("name"):
        return name
    for kind, member in (
        ("functionRef", "refName"),
        ("eventRef", "triggerEventRef"),
        ("subFlowRef", "workflowId"),
    ):
        found = action.get(kind)
        if found is not None and isinstance(found.value, dict):
            found = found.get(member)
        if found is not None and isinstance(found.value, str) and found.value:
            return found.value
    return "action"


def is_async(action: Node) -> bool:
    """Tell whether nobody waits for the result of an action."""
    for kind in ("functionRef", "eventRef", "subFlowRef"):
        found = action.get(kind)
        if found is not None and isinstance(found.value, dict):
            return bool(found.value.get("invoke") == "async")
    return False


def run_workflow(workflow: Node, work: Work) -> dict[str, Any]:
    """Return the task that runs another workflow on the state data."""
    wanted = workflow
    members: dict[str, Any] = {"namespace": work.namespace}
    number: str | None = None
    waits = True
    if isinstance(workflow.value, dict):
        workflow.only("workflowId", "version", "onParentComplete", "invoke")
        found = workflow.get("workflowId")
        if found is None:
            return refused(workflow, "this names no workflow", "no-name")
        wanted, number = found, version(workflow.get("version"))
        waits = workflow.text("invoke") != "async"
        if not waits and workflow.text("onParentComplete") != "continue":
            workflow.problem(
                "a workflow that is not waited for goes on when its parent ends",
                "on-parent-complete",
            )
    if not wanted.expect(str):
        return failing("this names no workflow")
    members |= {"name": reference(wanted.value), "version": number or "latest"}
    return {"run": {"workflow": members} if waits else {"workflow": members, "await": False}}


def _both(
    first: str, waiting: dict[str, Any], second: str, acting: dict[str, Any], output: str
) -> dict[str, Any]:
    """Return a fork that listens while it acts, so that a quick answer is not missed."""
    return {
        "fork": {"branches": [{first: waiting}, {second: acting}]},
        "output": {"as": enclose(f".[0] | {output}")},
    }


def _unobserved(function: Node, task: dict[str, Any], output: str) -> dict[str, Any]:
    name = function.text("refName")
    function.problem(
        f"the call of {quoted(name)} is waited for: calls without waiting have no counterpart",
        "async-call",
    )
    return {
        "try": [{f"try {name}": {**task, "output": {"as": enclose(output)}}}],
        "catch": {},
    }
