"""A state of the past made fit to go on from: what retry, rewind and fork have in common.

What was under way with an executor begins again, as the same step and with another attempt, so
that nothing the old attempt may still say is taken for the new one's. Time stood still meanwhile:
waits go on with what was left of them, time limits begin anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.state import (
    ROOT,
    Begin,
    Enter,
    Forking,
    Frame,
    Listening,
    Ready,
    Return,
    Spread,
    State,
    Stop,
    Subscribing,
    Trying,
    settle_status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flunq.core.document.model import Workflow

EDITED = -1
"""Stands for the event that will have an edited input in its data."""
_LIMIT = "t"
_LATER = {"w", "r"}
"""Timers after which a task goes on."""


class RestoreError(Exception):
    """A state of the past cannot be gone on from as wanted."""


def to_value(state: State) -> Any:
    """Return a state as a value for the data of an event."""
    return msgspec.to_builtins(state, str_keys=True)


def from_value(value: Any) -> State:
    """Read what :func:`to_value` wrote; raises RestoreError."""
    try:
        return msgspec.convert(value, State, str_keys=True)
    except msgspec.ValidationError as error:
        raise RestoreError(f"this is no state of an execution: {error}") from error


def from_start(state: State) -> None:
    """Take an execution back to before its input was looked at."""
    root = state.frames[ROOT]
    state.frames = {ROOT: root}
    for open_ends in (state.tasks, state.timers, state.listeners):
        open_ends.clear()
    root.timers = []
    root.reentries, root.scope = 0, root.path
    state.transformed = msgspec.UNSET
    state.context = None
    state.collecting = None
    state.ready = [Begin(source=root.source)]


def renew(state: State, *, now: int, at: int, attempt: int | None = None, redo: int = ROOT) -> None:
    """Make a state of the moment ``at`` one to go on from ``now``.

    ``attempt`` is one that no task of the execution has had; None keeps those there are. ``redo``
    is a frame that begins anew.
    """
    state.output = state.failure = state.ended_at = None
    state.reason = ""
    _enter_again(state, now, redo)
    _shift(state, now, max(now - at, 0))
    if attempt is not None:
        for frame in state.frames.values():
            frame.attempt = frame.highest = attempt
    state.status = "running"
    settle_status(state)


def _enter_again(state: State, now: int, redo: int) -> None:
    """Let the tasks that executors had begin once more, where they stood."""
    steps = {open_task.step for open_task in state.tasks.values()} | _halfway(state)
    for step in sorted(steps | {redo} - {ROOT}):
        frame = state.frames.get(step)
        if frame is not None:
            _drop(state, step)
            source, value = frame.source, frame.input
            state.ready.append(Enter(frame.parent, frame.reference, value, source, now))
    state.tasks.clear()
    for item in state.ready:
        if type(item) is Enter or type(item) is Spread:
            item.at = now


def _halfway(state: State) -> set[int]:
    """Return the frames that nothing would make go on: tasks that take no time, cut in two."""
    moving = {_where(item) for item in state.ready} | set(state.listeners.values()) | {ROOT}
    for step, frame in state.frames.items():
        moving.add(frame.parent)
        if any(_LATER & set(timer) for timer in frame.timers):
            moving.add(step)
    return state.frames.keys() - moving


def _drop(state: State, step: int) -> None:
    """Take out a frame and all below it."""
    doomed = {step}
    for number, frame in state.frames.items():
        if frame.parent in doomed:
            doomed.add(number)
    for number in doomed:
        for timer in state.frames.pop(number).timers:
            state.timers.pop(timer, None)
    state.listeners = {name: at for name, at in state.listeners.items() if at not in doomed}
    state.ready = [item for item in state.ready if _where(item) not in doomed]


def _where(item: Ready) -> int:
    """Return the frame that an entry of ``ready`` came from."""
    return item.origin if isinstance(item, Stop) else item.step


def _shift(state: State, now: int, delay: int) -> None:
    for frame in state.frames.values():
        for timer in frame.timers:
            due = state.timers.get(timer)
            if due is not None:
                full = now + due - frame.started_at if timer.endswith(_LIMIT) else due + delay
                state.timers[timer] = full
        if isinstance(frame.local, Trying):
            frame.started_at += delay
        elif isinstance(frame.local, Subscribing) and frame.local.ends is not None:
            frame.local.ends += delay


# --- an edited input --------------------------------------------------------------------------


def edit_input(state: State, task: str, value: Any) -> str:
    """Give the task that begins next another raw input; return its reference.

    ``task`` names one of several; raises RestoreError if it is not clear which is meant.
    """
    if any(type(item) is Begin for item in state.ready):
        state.input = state.frames[ROOT].input = value
        return ""
    found = [(number, name) for number, name in _beginning(state) if task in ("", name)]
    if len(found) != 1:
        names = ", ".join(sorted(name for _, name in _beginning(state))) or "no task"
        raise RestoreError(f"{names} would begin next: choose a point where one does")
    ((number, reference),) = found
    item = state.ready[number]
    assert type(item) is Enter
    item.input, item.source = value, EDITED
    return reference


def _beginning(state: State) -> Iterator[tuple[int, str]]:
    """Yield which entries of ``ready`` begin a task, and that task."""
    for number, item in enumerate(state.ready):
        if type(item) is Enter:
            yield number, item.reference


# --- another definition -----------------------------------------------------------------------


def strangers(state: State, workflow: Workflow) -> list[str]:
    """Return why an execution cannot go on with a definition: nothing if it can."""
    found: dict[str, None] = {}
    for frame in state.frames.values():
        if frame.reference:
            _compare(workflow, frame, found)
    for item in state.ready:
        if type(item) is Enter and item.reference not in workflow.tasks:
            found[f"{item.reference} is not in it"] = None
    return list(found)


def _compare(workflow: Workflow, frame: Frame, found: dict[str, None]) -> None:
    task = workflow.tasks.get(frame.reference)
    local = frame.local
    if task is None:
        found[f"{frame.reference} is not in it"] = None
    elif frame.kind != task.kind:
        found[f"{frame.reference} is {task.kind} there, not {frame.kind}"] = None
    elif type(local) is Forking and len(task.spec.branches) != local.pending + len(local.outputs):
        found[f"{frame.reference} has {len(task.spec.branches)} branches there"] = None
    for name in _named(local):
        if name and name not in workflow.tasks:
            found[f"{name} is not in it"] = None


def _named(local: Any) -> list[str]:
    """Return the tasks that a frame is going to begin."""
    graph = getattr(local, "graph", None) or []
    first, target = getattr(local, "first", ""), getattr(local, "target", "")
    return [first, target, *(branch["task"] for branch in graph)]


# --- another execution ------------------------------------------------------------------------


def sources(state: State) -> Iterator[tuple[int, Any]]:
    """Yield the events in whose data inputs stand, with those inputs."""
    for frame in state.frames.values():
        yield frame.source, frame.input
        local = frame.local
        if isinstance(local, Listening):
            yield from zip(local.sources, local.consumed, strict=False)
    for item in state.ready:
        if isinstance(item, Enter):
            yield item.source, item.input
        elif isinstance(item, Return):
            yield item.source, item.output


def renumber(state: State, steps: Mapping[int, int], events: Mapping[int, int]) -> None:
    """Give the frames other numbers, and let sources be other events."""
    state.timers = {_timer(name, steps): due for name, due in state.timers.items()}
    state.listeners = {f"{steps[step]}l": steps[step] for step in state.listeners.values()}
    renewed: dict[int, Frame] = {}
    for step, frame in state.frames.items():
        frame.parent = steps.get(frame.parent, frame.parent)
        frame.source = events.get(frame.source, frame.source)
        frame.timers = [_timer(name, steps) for name in frame.timers]
        if isinstance(frame.local, Listening):
            frame.local.sources = [events.get(each, each) for each in frame.local.sources]
        renewed[steps[step]] = frame
    state.frames = renewed
    for item in state.ready:
        _renumber_item(item, steps, events)


def _renumber_item(item: Ready, steps: Mapping[int, int], events: Mapping[int, int]) -> None:
    item.step = steps.get(item.step, item.step)
    if isinstance(item, Stop):
        item.origin = steps[item.origin]
    elif isinstance(item, (Enter, Return)) or (isinstance(item, Begin) and item.source > 1):
        item.source = events.get(item.source, item.source)


def _timer(name: str, steps: Mapping[int, int]) -> str:
    letter = next(place for place, character in enumerate(name) if not character.isdigit())
    return f"{steps[int(name[:letter])]}{name[letter:]}"
