"""From what is known of an execution to why it is where it is, who must act, and what to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client.story import Story
from flunq.core.execution.near import NearMiss
from flunq.core.execution.state import CHILD, Begin, State, Trying
from flunq.core.flow import HeldTask
from flunq.core.ids import split_timer
from flunq.core.letters import Letter, LiveNode
from flunq.core.protocol import Details

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.client.story import Seen

QUEUED = ("", "queue")
_FUNCTION = "function:"
_PLACE = re.compile(r"\.data((?:\.[A-Za-z_]\w*)*)")
"""A correlation that is a plain path into the data of an event."""
_RANK = (
    "suspended", "dead-holder", "unserved", "held", "task", "child", "event", "retry", "timer",
    "starts", "busy",
)  # fmt: skip
"""Which cause is told first; those that somebody has to act upon come before those that pass."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an execution waits for, or that ended it."""

    kind: str
    """``task``, ``unserved``, ``dead-holder``, ``held``, ``child``, ``event``, ``timer``,
    ``retry``, ``starts``, ``suspended``, ``busy``, ``failed``, ``cancelled``, ``completed`` or
    ``quarantined``."""
    text: str
    since: int | None = None
    """Microseconds since the epoch."""
    act: str = ""
    """Who must act."""
    task: str = ""
    command: str = ""
    """What to type about it."""
    due: int | None = None
    near: list[NearMiss] = []
    """Events that nearly met a listener."""


class LastError(msgspec.Struct, frozen=True, kw_only=True):
    """The error that was seen last."""

    what: str
    """``failed``, ``retried``, ``caught`` or ``ended``."""
    task: str
    at: int
    type: str
    status: int | None = None
    title: str = ""
    detail: str = ""
    instance: str = ""
    attempt: int = 1
    line: int | None = None
    """Line of the definition, from 1."""


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why an execution is where it is."""

    id: str
    workflow: str
    status: str
    headline: str
    since: int | None
    causes: list[Cause]
    command: str
    error: LastError | None = None
    errors: list[LastError] = []
    """Those on the way, oldest first."""
    letters: list[str] = []
    """Numbers of the dead letters that name it."""


class Facts(msgspec.Struct, kw_only=True):
    """All that reasons are made of."""

    details: Details
    story: Story
    nodes: list[LiveNode] | None = None
    """None: nobody could say who is alive."""
    near: dict[str, list[NearMiss]] = {}
    """Near misses by listener."""
    filters: dict[str, list[dict[str, Any]]] = {}
    """What each listener waits for."""
    asked: dict[str, dict[str, Any]] = {}
    """What listeners ask of a person: ``metadata.approval`` of their tasks."""
    children: dict[str, Details] = {}
    letters: list[Letter] = []
    held: dict[str, HeldTask] = {}
    """Tasks that executors hold back."""
    line_of: Callable[[str], int | None] = lambda _: None


def reasons(facts: Facts) -> Why:
    """Return why an execution is where it is."""
    details = facts.details
    ended = details.ended_at is not None
    causes = [_ending(facts)] if ended else sorted(_waits(facts), key=_rank)
    first = causes[0]
    errors = [_last_error(seen, facts) for seen in facts.story.errors]
    return Why(
        id=details.id,
        workflow=f"{details.namespace}/{details.workflow}:{details.version}",
        status=details.status,
        headline=first.text,
        since=first.since,
        causes=causes,
        command=first.command,
        error=errors[-1] if errors else None,
        errors=errors,
        letters=[letter.id for letter in facts.letters],
    )


def _rank(cause: Cause) -> int:
    return _RANK.index(cause.kind)


def _last_error(seen: Seen, facts: Facts) -> LastError:
    error = seen.error
    instance = str(error.get("instance") or seen.task)
    return LastError(
        what=seen.what,
        task=seen.task,
        at=seen.at,
        type=str(error.get("type", "")),
        status=error.get("status"),
        title=str(error.get("title") or ""),
        detail=str(error.get("detail") or ""),
        instance=instance,
        attempt=seen.attempt,
        line=facts.line_of(instance),
    )


# -- ended -----------------------------------------------------------------------------------------


def _ending(facts: Facts) -> Cause:
    details = facts.details
    kind = "failed" if details.status == "faulted" else details.status
    ways = {"failed": _failed, "cancelled": _cancelled, "quarantined": _quarantined}
    text, command = ways.get(kind, _completed)(facts)
    act = "nobody" if kind == "completed" else "you"
    task = details.failure.instance or "" if details.failure else ""
    return Cause(kind=kind, text=text, since=details.ended_at, act=act, task=task, command=command)


def _failed(facts: Facts) -> tuple[str, str]:
    details, failure = facts.details, facts.details.failure
    if failure is None:
        return "it failed", f"flunq history {details.id}"
    where = f" at {failure.instance}" if failure.instance else ""
    what = failure.title or failure.type.rpartition("/")[2]
    said = f": {failure.detail}" if failure.detail else ""
    tries = _tries(facts.story, failure.instance or "")
    again = f" after {tries} attempts" if tries > 1 else ""
    return f"it failed{again}{where}: {what}{said}", f"flunq retry {details.id}"


def _tries(story: Story, instance: str) -> int:
    """Return how often the failing task was tried: by the innermost try around it that retried."""
    around = [ref for ref in story.attempts if instance == ref or instance.startswith(f"{ref}/")]
    return story.attempts[max(around, key=len)] if around else 1


def _cancelled(facts: Facts) -> tuple[str, str]:
    details = facts.details
    reason = facts.story.state.reason if facts.story.state is not None else ""
    said = f": {reason}" if reason else ""
    return f"it was cancelled{said}", f"flunq retry {details.id}"


def _quarantined(facts: Facts) -> tuple[str, str]:
    details = facts.details
    said = f": {details.failure.detail}" if details.failure else ""
    return (
        f"it was set aside, because the engine cannot work on it{said}",
        f"flunq dlq list --where execution={details.id}",
    )


def _completed(facts: Facts) -> tuple[str, str]:
    return "it has completed", f"flunq result {facts.details.id}"


# -- waiting ---------------------------------------------------------------------------------------


def _waits(facts: Facts) -> list[Cause]:
    details, story = facts.details, facts.story
    found: list[Cause] = []
    if details.status == "suspended":
        found.append(_suspended(facts))
    for item in details.waiting:
        kind = item.get("for")
        if kind == "task":
            found.append(_task(facts, item))
        elif kind == "event":
            found.append(_event(facts, item))
        elif kind == "timer":
            found += _timer(facts, item)
    if not found:
        found.append(
            Cause(
                kind="busy",
                text="it is at work: nothing outside is waited for",
                since=story.last_at or details.started_at,
                act="the engine",
                command=f"flunq tail {details.id}",
            )
        )
    return found


def _suspended(facts: Facts) -> Cause:
    details, state = facts.details, facts.story.state
    reason = state.reason if state is not None else ""
    if state is not None and state.pause:
        begins = any(type(item) is Begin for item in state.ready)
        return Cause(
            kind="suspended",
            text=("it has not begun: " if begins else "it is suspended: ") + reason,
            since=facts.story.suspended_at,
            act="you",
            command=f"flunq workflows resume {details.namespace}/{details.workflow}",
        )
    return Cause(
        kind="suspended",
        text="it is suspended" + (f": {reason}" if reason else ", no reason was given"),
        since=facts.story.suspended_at,
        act="you",
        command=f"flunq resume {details.id}",
    )


def _task(facts: Facts, item: dict[str, Any]) -> Cause:
    details = facts.details
    task, kind, node = str(item.get("task")), str(item.get("kind")), str(item.get("node", ""))
    since = _started(facts.story.state, str(item.get("id", "")))
    if kind == CHILD:
        return _child(facts, item, since)
    held = facts.held.get(str(item.get("id", "")))
    if held is not None:
        return _held_back(task, held)
    attempt = f", attempt {item.get('attempt', 1)}"
    if node in QUEUED:
        return _queued(facts, task, kind, since, attempt)
    name, _, incarnation = node.partition("#")
    if facts.nodes is not None and not _is_alive(facts.nodes, name, incarnation):
        return Cause(
            kind="dead-holder",
            text=f"task {task} ({kind}{attempt}) was with {name}, which is gone",
            since=since,
            act="the engine: another node takes it over",
            task=task,
            command="flunq status",
        )
    alive = ", whose lease lives" if facts.nodes is not None else ""
    return Cause(
        kind="task",
        text=f"task {task} ({kind}{attempt}) runs on {name}{alive}",
        since=since,
        act=f"the executor of {kind} on {name}",
        task=task,
        command=f"flunq tail {details.id}",
    )


def _held_back(task: str, held: HeldTask) -> Cause:
    about = f"task {task} ({held.kind})"
    if held.why == "limit":
        text, act = f"{about} waits for the limit {held.name}", "the tasks that hold it"
        command = "flunq limits list"
    elif held.why == "breaker":
        text, act = (
            f"{about} waits: the breaker of {held.name} is open",
            f"whoever runs {held.name}",
        )
        command = "flunq breakers list"
    else:
        text = f"{about} waits for its turn: {held.name} failed of late and is spared"
        act, command = "the engine", "flunq breakers list"
    return Cause(
        kind="held",
        text=text,
        since=held.since,
        act=act,
        task=task,
        command=command,
        due=held.until if held.why == "breaker" else None,
    )


def _is_alive(nodes: list[LiveNode], name: str, incarnation: str) -> bool:
    return any(node.name == name and node.incarnation == incarnation for node in nodes)


def _queued(facts: Facts, task: str, kind: str, since: int | None, attempt: str) -> Cause:
    hosts = [n.name for n in facts.nodes or () if kind in n.kinds and not n.leaving]
    if facts.nodes is not None and not hosts:
        function = kind.startswith(_FUNCTION)
        return Cause(
            kind="unserved",
            text=f"task {task} ({kind}{attempt}) is queued, and no live node runs such tasks",
            since=since,
            act="you: start an executor that runs them"
            + ("; or a worker over the HTTP API, which may have it already" if function else ""),
            task=task,
            command="flunq serve executor" + (" --functions MODULE.py" if function else ""),
        )
    where = f" for {', '.join(hosts[:3])}" if hosts else ""
    return Cause(
        kind="task",
        text=f"task {task} ({kind}{attempt}) is queued{where}",
        since=since,
        act="an executor with a free slot",
        task=task,
        command="flunq status",
    )


def _child(facts: Facts, item: dict[str, Any], since: int | None) -> Cause:
    child = str(item.get("id", ""))
    known = facts.children.get(child)
    what = f"which is {known.status}" if known is not None else "which does not answer"
    return Cause(
        kind="child",
        text=f"task {item.get('task')} waits for its child {child}, {what}",
        since=since,
        act=f"execution {child}",
        task=str(item.get("task")),
        command=f"flunq why {child}",
    )


def _event(facts: Facts, item: dict[str, Any]) -> Cause:
    listener = str(item.get("listener"))
    filters = facts.filters.get(listener, [])
    state = facts.story.state
    step = state.listeners.get(listener) if state is not None else None
    wanted = " or ".join(_filter_text(each) for each in filters) or "any event"
    asked, task = facts.asked.get(listener), str(item.get("task"))
    question = f" asks for approval: {asked.get('title') or task}; it" if asked is not None else ""
    return Cause(
        kind="event",
        text=f"task {task}{question} listens for {wanted}",
        since=_frame_since(state, step),
        act="whoever publishes that event" if asked is None else _who(asked),
        task=task,
        command=_emit(filters) if asked is None else _approve(facts, task, asked),
        near=facts.near.get(listener, []),
    )


def _who(asked: dict[str, Any]) -> str:
    return str(asked.get("who") or "a person")


def _approve(facts: Facts, task: str, asked: dict[str, Any]) -> str:
    """Return the command that says yes, with what the form has to be filled in with."""
    parts = ["flunq", "approvals", "approve", facts.details.id]
    if len(facts.asked) > 1:
        parts += ["--task", task]
    form = asked.get("form")
    required = form.get("required") if isinstance(form, dict) else None
    if isinstance(required, list) and required:
        values = {str(name): "VALUE" for name in required}
        parts += ["--data", msgspec.json.encode(values).decode()]
    return shlex.join(parts)


def _filter_text(one: dict[str, Any]) -> str:
    parts = [f"{name} {_plain(value)}" for name, value in one.get("with", {}).items()]
    parts += [f"the same {key}" for key in one.get("correlate", ())]
    return ", ".join(parts) or "any event"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _emit(filters: list[dict[str, Any]]) -> str:
    """Return the command that publishes what the first filter wants."""
    wanted = filters[0].get("with", {}) if filters else {}
    parts = ["flunq", "emit", _plain(wanted.get("type", "TYPE"))]
    for name in ("source", "subject"):
        if isinstance(wanted.get(name), str) and not wanted[name].startswith("${"):
            parts += [f"--{name}", wanted[name]]
    data = wanted.get("data")
    if data is None or (isinstance(data, str) and data.startswith("${")):
        data = {}
    for expected in filters[0].get("expected", ()) if filters else ():
        place = _PLACE.fullmatch(expected["at"].strip())
        if place is not None:
            data = _with(data, place[1].split(".")[1:], expected.get("value", "VALUE"))
        elif expected["at"].strip() == ".subject" and "--subject" not in parts:
            parts += ["--subject", _plain(expected.get("value", "VALUE"))]
    parts += ["--data", msgspec.json.encode(data).decode()]
    return shlex.join(parts)


def _with(data: Any, path: list[str], value: Any) -> Any:
    """Return a value with a member set, which may be one of a member."""
    if not path:
        return value
    members = data if isinstance(data, dict) else {}
    return {**members, path[0]: _with(members.get(path[0]), path[1:], value)}


def _timer(facts: Facts, item: dict[str, Any]) -> Iterator[Cause]:
    """Yield what a timer stands for; the end of a time limit is nothing that is waited for."""
    name, due = str(item.get("timer", "")), int(item.get("due", 0))
    state, details = facts.story.state, facts.details
    step, letter = split_timer(name)
    if letter == "c":
        count = int(item.get("starts", 1))
        yield Cause(
            kind="starts",
            text=f"it has not begun: it collects starts ({count} so far)",
            since=details.started_at,
            act="nobody: the clock",
            command=f"flunq resume {details.id}",
            due=due,
        )
    elif letter == "w":
        yield Cause(
            kind="timer",
            text=f"task {item.get('task')} waits for a moment",
            since=_frame_since(state, step),
            act="nobody: the clock",
            task=str(item.get("task")),
            command=f"flunq wait {details.id}",
            due=due,
        )
    elif letter == "r":
        frame = state.frames.get(step) if state is not None and step is not None else None
        tries = frame.local.tries if frame is not None and type(frame.local) is Trying else 0
        which = f" (attempt {tries})" if tries else ""
        last = next((e for e in reversed(facts.story.errors) if e.what == "retried"), None)
        yield Cause(
            kind="retry",
            text=f"task {item.get('task')} is tried again{which} at a moment to come",
            since=last.at if last is not None else None,
            act="nobody: the clock",
            task=str(item.get("task")),
            command=f"flunq wait {details.id}",
            due=due,
        )


def _started(state: State | None, task: str) -> int | None:
    opened = state.tasks.get(task) if state is not None else None
    return _frame_since(state, opened.step) if opened is not None else None


def _frame_since(state: State | None, step: int | None) -> int | None:
    frame = state.frames.get(step) if state is not None and step is not None else None
    return frame.started_at if frame is not None else None
