"""What the events of an execution that collects starts change: the reducers of ``fold``."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from flunq.core import events as types
from flunq.core.execution.reducing import Data, arm, disarm, remember
from flunq.core.execution.state import ROOT, Begin, Gathering, State

JOINED = types.ENGINE + "execution.joined"
GATHERED = types.ENGINE + "execution.gathered"
TIMER = "0c"
"""The timer after which the execution begins."""
MOST_COLLECTED = 10_000
"""Starts that one batch may be made of, and that an execution knows again while it collects."""


def short(start: str) -> str:
    """Return under which name a start that joined is remembered."""
    return blake2b(start.encode(), digest_size=8).hexdigest()


def begin_gathering(state: State, data: Data) -> None:
    """Let an execution that has just been started wait for more starts."""
    collects = data["collects"]
    state.collecting = Gathering(
        group=collects["group"],
        kind=collects["kind"],
        wait=collects["wait"],
        latest=collects["latest"],
        size=collects.get("size", 0),
        bytes=collects["bytes"],
        starts=[short(collects["start"])],
    )
    if state.collecting.kind == "batch":
        state.input = [state.input]
    arm(state, state.frames[ROOT], TIMER, collects["due"])


def joined(state: State, seq: int, now: int, data: Data) -> None:
    """Apply the event of another start that is part of the group."""
    gathering = state.collecting
    assert gathering is not None
    gathering.count += 1
    gathering.bytes += data["bytes"]
    gathering.starts.append(short(data["start"]))
    del gathering.starts[:-MOST_COLLECTED]
    if gathering.kind == "batch":
        inputs: list[Any] = state.input
        inputs.append(data["input"])
    else:
        state.input = data["input"]
    if "due" in data:
        state.timers[TIMER] = data["due"]


def gathered(state: State, seq: int, now: int, data: Data) -> None:
    """Apply the event after which the execution begins."""
    remember(state, data)
    root = state.frames[ROOT]
    disarm(state, root, TIMER)
    state.collecting = None
    state.input = root.input = data["input"]
    root.source = seq
    state.ready.append(Begin(source=seq))
