"""What a history says of the points that one can go back to, found in one pass over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core.execution.fold import CAUGHT, RESTORING, STOPPING, TIMER_FIRED
from flunq.core.execution.restoring import RestoreError
from flunq.core.execution.state import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMING = frozenset({types.TASK_STARTED})
"""Events that say where tasks began: enough for :attr:`Trail.began`."""
WHOLE = 0
"""The point before anything happened: the input is looked at anew."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go on: after an event, perhaps with a step that begins anew."""

    seq: int
    redo: int = 0
    task: str = ""


class _Step(msgspec.Struct):
    reference: str
    parent: int


class Trail:
    """Takes a history in order and remembers what is needed to find a point in it."""

    def __init__(self) -> None:
        self.last = 0
        self.end = ""
        """The type of the event that ended the execution; empty while it goes on."""
        self.attempt = 1
        """The highest attempt that a task had."""
        self.began: dict[str, int] = {}
        """The point just before each task began last, by reference."""
        self._open: dict[int, _Step] = {}
        self._causes: dict[int, Point] = {}
        """The deepest failure below each frame that has not come to its end."""
        self._stopping = self._expired = 0
        self._failed_at = ""

    def take(self, type: str, seq: int, data: Mapping[str, Any]) -> None:
        """Note an event."""
        self.last = seq
        self.end = type if type in types.TERMINAL_TYPES else self._end_after(type)
        self.attempt = max(self.attempt, data.get("attempt", 1))
        if type == types.TASK_STARTED:
            self._started(seq, data)
        elif type == types.TASK_FAULTED:
            self._faulted(seq, data)
        elif type in (types.TASK_COMPLETED, types.TASK_CANCELLED):
            self._open.pop(data["step"], None)
            self._causes.pop(data["step"], None)
        elif type in (types.TASK_RETRIED, CAUGHT):
            self._causes.pop(data["step"], None)
        else:
            self._of_workflow(type, seq, data)

    def _end_after(self, type: str) -> str:
        return "" if type in RESTORING else self.end

    def _started(self, seq: int, data: Mapping[str, Any]) -> None:
        self.began[data["task"]] = data["step"] - 1
        self._open[data["step"]] = _Step(data["task"], data.get("parent", ROOT))

    def _faulted(self, seq: int, data: Mapping[str, Any]) -> None:
        step: int = data["step"]
        found = self._open.pop(step, _Step(data["task"], ROOT))
        own = Point(seq=seq - 1, redo=step, task=found.reference)
        self._causes[found.parent] = self._causes.pop(step, own)

    def _of_workflow(self, type: str, seq: int, data: Mapping[str, Any]) -> None:
        if type == STOPPING:
            self._stopping = seq
        elif type == TIMER_FIRED:
            if data["step"] == ROOT:
                self._expired = seq
        elif type == types.WORKFLOW_FAULTED:
            self._failed_at = data["error"].get("instance", "")
        elif type in RESTORING:
            self._causes.clear()
            self._stopping = self._expired = 0
            self._reopen(data["state"])

    def _reopen(self, state: Mapping[str, Any]) -> None:
        frames = state.get("frames", {}).items()
        self._open = {int(step): _Step(f["reference"], f["parent"]) for step, f in frames}

    # -- points ------------------------------------------------------------------------------------

    def before_failure(self) -> Point:
        """Return where a retry goes on; raises RestoreError."""
        if self.end == types.QUARANTINED:
            if self.last == 1:
                raise RestoreError("it was set aside before it began: start it anew")
            return Point(seq=self.last - 1)
        if self.end == types.WORKFLOW_CANCELLED:
            return Point(seq=(self._stopping or self.last) - 1)
        if self.end != types.WORKFLOW_FAULTED:
            raise RestoreError("only what ended faulted or cancelled can be tried again")
        cause = self._causes.get(ROOT)
        if cause is not None:
            return cause
        if self._failed_at == "/input":
            return Point(seq=WHOLE)
        return Point(seq=(self._expired or self.last) - 1)

    def at(self, seq: int) -> Point:
        """Return the point right after an event; raises RestoreError."""
        if not WHOLE <= seq <= self.last:
            raise RestoreError(f"its history has the events 1 to {self.last}, not {seq}")
        return Point(seq=seq)
