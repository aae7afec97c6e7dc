"""Starts of a workflow that collects them: the first makes the execution, others join it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flunq.core import events as types
from flunq.core.execution.effects import Disarm
from flunq.core.execution.gathering import GATHERED, JOINED, TIMER, short
from flunq.core.execution.suspending import hold

if TYPE_CHECKING:
    from flunq.core.execution.commands import Join, Start
    from flunq.core.execution.turn import Turn

MOST_BYTES = 4 << 20
"""A group is complete once its inputs have so many bytes."""


def begin_collecting(turn: Turn, data: dict[str, Any], start: Start) -> None:
    """Record the first start of a group; ``data`` is that of the event, with nothing prepared."""
    rule = turn.env.workflow.collecting
    assert rule is not None
    collects: dict[str, Any] = {
        "group": start.group,
        "kind": rule.kind,
        "start": start.first,
        "fingerprint": start.fingerprint,
        "wait": rule.wait,
        "due": turn.now + rule.wait,
        "latest": turn.now + rule.longest,
        "bytes": turn.size_of(start.input),
    }
    if rule.size:
        collects["size"] = rule.size
    turn.emit(types.WORKFLOW_STARTED, {**data, "unprepared": True, "collects": collects})
    turn.arm(TIMER)
    if start.pause:
        hold(turn, start)
    _complete(turn)


def join(turn: Turn, command: Join) -> None:
    """Record another start of a group; one that is known changes nothing."""
    gathering, start = turn.state.collecting, command.start
    if gathering is None or short(start.id) in gathering.starts:
        return
    data: dict[str, Any] = {
        "name": turn.name,
        "joinedAt": turn.time,
        "start": start.id,
        "fingerprint": command.fingerprint,
        "input": start.input,
        "bytes": turn.size_of(start.input),
    }
    if start.request:
        data["request"] = start.request
    due = min(turn.now + gathering.wait, gathering.latest)
    moves = gathering.kind == "debounce" and due > turn.state.timers[TIMER]
    if moves:
        data["due"] = due
    turn.size += data["bytes"]
    turn.emit(JOINED, data)
    if moves:
        turn.arm(TIMER)
    _complete(turn)


def gather(turn: Turn, request: str = "") -> None:
    """Collect no more starts: the execution begins."""
    state = turn.state
    assert state.collecting is not None
    data: dict[str, Any] = {
        "name": turn.name,
        "gatheredAt": turn.time,
        "count": state.collecting.count,
        "input": state.input,
    }
    if request:
        data["request"] = request
    turn.size += state.collecting.bytes
    turn.emit(GATHERED, data)
    turn.effects.append(Disarm(execution=state.id, timer=TIMER))


def _complete(turn: Turn) -> None:
    gathering = turn.state.collecting
    assert gathering is not None
    enough = gathering.kind == "batch" and gathering.count >= gathering.size
    if enough or (gathering.kind == "batch" and gathering.bytes >= MOST_BYTES):
        gather(turn)
