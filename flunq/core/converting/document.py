"""The document around the states: header, reusable parts, the order of the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core.converting.event_states import starting_strategy
from flunq.core.converting.flow import Flow
from flunq.core.converting.functions import resource
from flunq.core.converting.names import semantic_version
from flunq.core.converting.policies import authentications, retry_policies
from flunq.core.converting.scheduling import schedule, zone
from flunq.core.converting.states import States
from flunq.core.converting.workspace import Entry, after
from flunq.core.reading.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.converting.findings import Node
    from flunq.core.converting.workspace import Work

DSL = "1.0.3"
_KNOWN = (
    "id", "key", "name", "description", "version", "annotations", "dataInputSchema", "secrets",
    "constants", "start", "specVersion", "expressionLang", "timeouts", "errors", "keepActive",
    "metadata", "events", "functions", "autoRetries", "retries", "auth", "states",
)  # fmt: skip
_FIRST_VERSION = "0.1.0"


def convert_workflow(work: Work) -> dict[str, Any]:
    """Return the new document."""
    work.root.only(*_KNOWN)
    _refuse(work.root)
    document: dict[str, Any] = {"document": _header(work)}
    if (wanted := _input(work.root)) is not None:
        document["input"] = wanted
    start, scheduled = _start(work)
    tasks = _tasks(work, start)
    if use := _use(work):
        document["use"] = use
    if scheduled is not None:
        document["schedule"] = scheduled
        _in_zone(work.root, document["document"])
    if limit := _timeout(work):
        document["timeout"] = after(limit)
    return {**document, "do": tasks}


def _refuse(root: Node) -> None:
    spec = root.get("specVersion")
    if spec is None or not str(spec.value).startswith("0.8"):
        (spec or root).problem(
            "this is not a document of version 0.8; it is read as if it were", "spec-version"
        )
    if root.text("expressionLang", "jq") not in ("", "jq"):
        root.leave_out("expressionLang", "expressions are in jq only", "expression-language")
    if root.flag("keepActive"):
        root.leave_out("keepActive", "a workflow ends with its last task", "keep-active")


def _header(work: Work) -> dict[str, Any]:
    root = work.root
    header: dict[str, Any] = {
        "dsl": DSL,
        "namespace": work.namespace,
        "name": work.name,
        "version": _version(root),
    }
    for old, new in (("name", "title"), ("description", "summary")):
        if text := root.text(old):
            header[new] = text
    metadata = dict(root.object("metadata").value)
    if "schedule" in metadata:  # which means something here
        metadata["oldSchedule"] = metadata.pop("schedule")
    if (constants := root.object("constants").value) or "constants" in root:
        metadata["constants"] = constants
    for name in ("annotations", "key"):
        if (found := root.get(name)) is not None:
            metadata[name] = found.value
    return {**header, "metadata": metadata} if metadata else header


def _version(root: Node) -> str:
    node = root.get("version")
    if node is None:
        return _FIRST_VERSION
    found = semantic_version(str(node.value))
    if found is None:
        text = quoted(str(node.value))
        node.problem(f"{text} is no version number; {_FIRST_VERSION} was put in", "version")
    return found or _FIRST_VERSION


def _input(root: Node) -> dict[str, Any] | None:
    wanted = root.get("dataInputSchema")
    if wanted is None:
        return None
    if isinstance(wanted.value, dict):
        wanted.only("schema", "failOnValidationErrors")
        if not wanted.flag("failOnValidationErrors", default=True):
            wanted.leave_out(
                "failOnValidationErrors",
                "an input that breaks its schema always fails; the schema was left out",
                "input-schema",
            )
            return None
        found = wanted.get("schema")
        if found is None:
            return None
        wanted = found
    if isinstance(wanted.value, dict):
        return {"schema": {"document": wanted.value}}
    if not wanted.expect(str):
        return None
    uri = wanted.value.partition("#")[0]
    return {"schema": {"resource": {"endpoint": resource(uri)}}}


def _timeout(work: Work) -> str | None:
    wanted = work.timeouts.get("workflowExecTimeout")
    if wanted is None:
        return None
    if isinstance(wanted.value, dict):
        wanted.only("duration", "interrupt", "runBefore")
        wanted.leave_out("runBefore", "nothing runs when a workflow's time is up", "timeout")
        if not wanted.flag("interrupt", default=True):
            wanted.leave_out("interrupt", "a workflow whose time is up is interrupted", "timeout")
        return work.duration(wanted.get("duration"))
    return work.duration(wanted)


def _use(work: Work) -> dict[str, Any]:
    parts = {
        "authentications": authentications(work),
        "retries": retry_policies(work),
        "secrets": [node.value for node in work.root.texts("secrets")],
    }
    return {name: part for name, part in parts.items() if part}


def _start(work: Work) -> tuple[Node | None, dict[str, Any] | None]:
    """Return the first state and what starts the workflow."""
    states = work.root.objects("states")
    first = states[0] if states else None
    start = work.root.get("start")
    scheduled = None
    if start is not None:
        wanted: Node | None = start
        if isinstance(start.value, dict):
            start.only("stateName", "schedule")
            wanted = start.get("stateName")
            if (found := start.get("schedule")) is not None:
                scheduled = schedule(found)
        first = _named(states, wanted) or first
    if first is not None and first.text("type") == "event":
        return first, _on_events(work, first, start if scheduled else None)
    return first, scheduled


def _in_zone(root: Node, header: dict[str, Any]) -> None:
    start = root.get("start")
    wanted = start.get("schedule") if start is not None else None
    if wanted is not None and (name := zone(wanted)):
        header.setdefault("metadata", {})["schedule"] = {"timezone": name}


def _named(states: list[Node], name: Node | None) -> Node | None:
    if name is None:
        return None
    for state in states:
        if state.text("name") == name.value:
            return state
    name.problem(f"there is no state {quoted(str(name.value))}", "unknown-reference")
    return None


def _on_events(work: Work, state: Node, start: Node | None) -> dict[str, Any] | None:
    if start is not None:
        start.leave_out(
            "schedule", "the events of the first state start the workflow, nothing else", "schedule"
        )
    strategy = starting_strategy(state, work)
    references = (
        str(name.value) for entry in state.objects("onEvents") for name in entry.texts("eventRefs")
    )
    events = [work.events[name] for name in references if name in work.events]
    work.started_with = frozenset(
        rule.text("contextAttributeName")
        for event in events
        for rule in event.objects("correlation")
    )
    return None if strategy is None else {"on": strategy}


def _tasks(work: Work, start: Node | None) -> list[Entry]:
    names = _names(work)
    flow = Flow(work, names)
    states = States(work, flow)
    tasks: list[Entry] = []
    for state, name in _in_order(work, names, start):
        starting = start is not None and state.pointer == start.pointer
        by_event = starting and state.text("type") == "event"
        if by_event and _is_target(work, state):
            tasks += states.convert(state, work.top.unique(f"{name}: started"), starting=True)
            by_event = False
        tasks += states.convert(state, name, starting=by_event)
    return _fall_through(tasks)


def _names(work: Work) -> dict[str, str]:
    """Return the new names of all states that can be converted, by their old ones."""
    names: dict[str, str] = {}
    for state in work.root.objects("states"):
        name = state.text("name")
        if state.flag("usedForCompensation"):
            state.problem("compensation has no counterpart; this was left out", "compensation")
        elif not name:
            state.problem("a state needs a name; this was left out", "no-name")
        elif name in names:
            state.problem(f"there are two states {quoted(name)}", "duplicate-name")
        else:
            names[name] = work.top.unique(name)
    return names


def _in_order(work: Work, names: dict[str, str], start: Node | None) -> Iterator[tuple[Node, str]]:
    """Yield the states with their new names, the first one first."""
    seen: set[str] = set()
    states = work.root.objects("states")
    for state in [start, *states] if start is not None else states:
        name = state.text("name")
        if name in names and name not in seen and not state.flag("usedForCompensation"):
            seen.add(name)
            yield state, names[name]


def _is_target(work: Work, state: Node) -> bool:
    """Tell whether any transition leads to a state."""
    name = state.text("name")
    stack: list[Any] = [work.root.value.get("states")]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            wanted = value.get("transition")
            if wanted == name or (isinstance(wanted, dict) and wanted.get("nextState") == name):
                return True
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    return False


def _fall_through(tasks: list[Entry]) -> list[Entry]:
    """Drop directives that say what happens anyway."""
    following = [*(next(iter(entry)) for entry in tasks), "end"]
    for entry, name in zip(tasks, following[1:], strict=True):
        task = next(iter(entry.values()))
        if task.get("then") == name:
            del task["then"]
    return tasks
