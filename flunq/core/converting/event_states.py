"""States that wait for events and act on what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.converting import merging
from flunq.core.converting.actions import Actions
from flunq.core.converting.events import Listening, or_timeout
from flunq.core.converting.expressions import enclose
from flunq.core.converting.names import Names

if TYPE_CHECKING:
    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Entry, Work

_KEPT = "{state: $task.input, events: .}"
"""State data and events side by side, until it is known which event came."""
_NOTHING_CAME = "{state: ., events: []}"


def event_body(state: Node, work: Work) -> list[Entry]:
    """Return the tasks of an event state that is reached by a transition."""
    return _EventState(state, work).tasks()


def started_body(state: Node, work: Work) -> list[Entry]:
    """Return the tasks of an event state whose events are the workflow's input."""
    return _EventState(state, work, starting=True).tasks()


def starting_strategy(state: Node, work: Work) -> dict[str, Any] | None:
    """Return which events start a workflow."""
    listening = Listening(_references(state.objects("onEvents")), work, starting=True)
    every = not state.flag("exclusive", default=True)
    return listening.strategy(every=every) if listening.events else None


class EventSwitch:
    """A switch whose conditions are events: a task that waits and a switch that looks."""

    def __init__(self, state: Node, work: Work) -> None:
        self._work = work
        self._conditions = state.objects("eventConditions")
        references = [found for case in self._conditions if (found := case.get("eventRef"))]
        self._listening = Listening(references, work)
        self._limit = work.timeout("eventTimeout", state)

    def waiting(self) -> dict[str, Any]:
        """Return the task that waits."""
        return _waiting(self._listening, self._limit, every=False)

    def arrived(self, case: Node) -> str:
        """Return the condition that the event of a case came."""
        case.only("name", "eventRef", "eventDataFilter", "transition", "end", "metadata")
        return self._listening.any_of(self._events(case), ".events[0]")

    def output(self) -> str:
        """Return the state data with the data of the event that came."""
        choices = [
            f"if {self._listening.any_of(events, '.events[0]')} then .state | {' | '.join(steps)}"
            for case in self._conditions
            if (events := self._events(case)) and (steps := self._listening.steps(case, events))
        ]
        if not choices:
            return ".state"
        chosen = " el".join(choices)
        return f"{merging.MERGE} .events as $events | {chosen} else .state end"

    def _events(self, case: Node) -> list[Node]:
        reference = case.get("eventRef")
        event = None if reference is None else self._work.events.get(str(reference.value))
        return [] if event is None else [event]


class _EventState:
    """An event state: wait, then do what belongs to the events that came."""

    def __init__(self, state: Node, work: Work, *, starting: bool = False) -> None:
        self._work = work
        self._entries = state.objects("onEvents")
        for entry in self._entries:
            entry.only("eventRefs", "actionMode", "actions", "eventDataFilter")
        self._every = not state.flag("exclusive", default=True)
        self._actions = Actions(work, state)
        self._starting = starting
        references = _references(self._entries)
        self._listening = Listening(references, work, starting=starting)
        self._limit = None if starting else work.timeout("eventTimeout", state)
        if starting and self._every:
            state.object("timeouts").leave_out(
                "eventTimeout", "a time limit between starting events has no counterpart", "timeout"
            )

    def tasks(self) -> list[Entry]:
        """Return the tasks."""
        if self._every or len(self._entries) == 1:
            groups = [self._entries]
        else:
            groups = [[entry] for entry in self._entries]
        if len(groups) == 1 and not self._limit:
            return [self._first(groups[0]), *self._acting(groups[0])]
        return [{"events": self._kept()}, *self._chosen(groups)]

    def _first(self, entries: list[Node]) -> Entry:
        steps = self._steps(entries)
        if self._starting:
            return {"events": {"set": enclose(merging.with_events(".", "{}", steps))}}
        output = merging.with_events(".", "$task.input", steps)
        task = self._listening.task(every=self._every)
        return {"events": {**task, "output": {"as": enclose(output)}}}

    def _kept(self) -> dict[str, Any]:
        if self._starting:
            return {"set": {"state": {}, "events": enclose(".")}}
        return _waiting(self._listening, self._limit, every=self._every)

    def _chosen(self, groups: list[list[Node]]) -> list[Entry]:
        names = Names(("events", "which", "none"))
        cases: list[Entry] = []
        tasks: list[Entry] = []
        for group in groups:
            events = self._events(group)
            name = names.unique(events[0].text("name") if events else "event")
            when = "(.events | length) > 0"
            if len(groups) > 1:
                when = self._listening.any_of(events, ".events[0]")
            cases.append({name: {"when": enclose(when), "then": name}})
            taken = merging.with_events(".events", ".state", self._steps(group))
            acting = {"input": {"from": enclose(taken)}, "do": self._acting(group), "then": "exit"}
            tasks.append({name: acting})
        cases.append({"none": {"then": "none"}})
        return [{"which": {"switch": cases}}, *tasks, {"none": {"set": enclose(".state")}}]

    def _steps(self, entries: list[Node]) -> list[str]:
        return [
            step
            for entry in entries
            for step in self._listening.steps(entry, self._events([entry]), every=self._every)
        ]

    def _events(self, entries: list[Node]) -> list[Node]:
        events = self._work.events
        names = (str(reference.value) for reference in _references(entries))
        return [events[name] for name in names if name in events]

    def _acting(self, entries: list[Node]) -> list[Entry]:
        tasks = [task for entry in entries for task in self._actions.by_mode(entry)]
        return tasks or [{"done": {"set": enclose(".")}}]


def _waiting(listening: Listening, limit: str | None, *, every: bool) -> dict[str, Any]:
    task = listening.task(every=every)
    if "listen" in task:
        task["output"] = {"as": enclose(_KEPT)}
    return or_timeout("event", task, limit, _NOTHING_CAME) if limit else task


def _references(entries: list[Node]) -> list[Node]:
    """Return the references to events, each event once."""
    found = {str(node.value): node for entry in entries for node in entry.texts("eventRefs")}
    return list(found.values())
