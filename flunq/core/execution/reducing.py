"""What the reducers of events share: steps of the state that several events have in common."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from flunq.core.execution.branching import follow_graph
from flunq.core.execution.state import (
    ROOT,
    Enter,
    Forking,
    Frame,
    Ready,
    Return,
    Spread,
    State,
    Stop,
)

Data: TypeAlias = dict[str, Any]

REQUESTS = 32
"""Control commands of which late copies are recognised."""


def remember(state: State, data: Data) -> None:
    """Remember a request, so that late copies of it are recognised."""
    if "request" in data:
        state.requests = [*state.requests, data["request"]][-REQUESTS:]


def input_source(step: int, frame: Frame) -> int:
    """Return the sequence of the event that holds a frame's transformed input."""
    return frame.source if frame.transformed is msgspec.UNSET else step + 1


def take(state: State, data: Data) -> Ready | None:
    """Take off the entry of ``ready`` that an event has dealt with."""
    turn = data.get("turn")
    if turn is None:
        return None
    item = state.ready[turn]
    if type(item) is Spread and item.index + 1 < item.count:
        item.index += 1
    else:
        del state.ready[turn]
    return item


def push_front(state: State, item: Ready) -> None:
    """Let ``item`` go first, but never before the end of the execution."""
    state.ready.insert(1 if state.ready and type(state.ready[0]) is Stop else 0, item)


def purge(state: State, step: int, keep: type[Any] | None = None) -> None:
    """Forget what was still to do for a frame, all or all of other types than ``keep``."""
    if state.ready:
        state.ready = [item for item in state.ready if item.step != step or type(item) is keep]


def arm(state: State, frame: Frame, timer: str, due: int) -> None:
    """Note a timer of a frame."""
    state.timers[timer] = due
    frame.timers.append(timer)


def disarm(state: State, frame: Frame, timer: str) -> None:
    """Forget a timer of a frame."""
    state.timers.pop(timer, None)
    if timer in frame.timers:
        frame.timers.remove(timer)


def enter_below(state: State, step: int, frame: Frame, reference: str, now: int) -> None:
    """Let a task below a frame begin."""
    source = input_source(step, frame)
    state.ready.append(Enter(step, reference, frame.effective_input, source, now))


def remove(state: State, step: int) -> Frame:
    """Take a frame out, with all that it had open."""
    frame = state.frames.pop(step)
    for timer in frame.timers:
        state.timers.pop(timer, None)
    if frame.task:
        state.tasks.pop(frame.task, None)
    if frame.kind == "listen":
        state.listeners.pop(f"{step}l", None)
    parent = state.frames[frame.parent]
    parent.highest = max(parent.highest, frame.highest)
    return frame


def depth_of(state: State, step: int) -> int:
    """Return how many frames are around a frame, and itself."""
    depth = 0
    while step != ROOT:
        step = state.frames[step].parent
        depth += 1
    return depth


def re_enter(state: State, step: int, frame: Frame) -> None:
    """Give the children of a frame a new path: one of them runs a second time."""
    frame.reentries += 1
    base = frame.scope
    if frame.reentries > 1:
        base = base[: base.rindex("~")]
    frame.scope = f"{base}~{depth_of(state, step)}x{frame.reentries}"


def route(
    state: State, parent: int, reference: str, output: Any, event: tuple[int, int, Data]
) -> None:
    """Go on after a task: next in its scope, or back to the frame above."""
    seq, now, data = event
    frame = state.frames[parent]
    following = data.get("next")
    if following is not None:
        if "back" in data:
            re_enter(state, parent, frame)
        state.ready.append(Enter(parent, following, output, seq, now))
    elif type(frame.local) is Forking:
        join(state, parent, frame.local, reference, (output, seq, now))
    else:
        state.ready.append(Return(parent, output, seq, "leave" in data))


def join(state: State, step: int, fork: Forking, reference: str, end: tuple[Any, int, int]) -> None:
    """Note the output of a branch; the fork goes on when all have ended, or one has."""
    output, source, now = end
    branch = int(reference.rsplit("/", 2)[1])
    fork.outputs[branch] = output
    fork.pending -= 1
    if fork.compete:
        if len(fork.outputs) == 1:
            push_front(state, Return(step, output, source))
    elif fork.pending == 0:
        state.ready.append(Return(step, None, 0))
    elif fork.graph is not None:
        follow_graph(state, step, fork, branch, now)
