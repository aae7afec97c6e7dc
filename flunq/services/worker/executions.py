"""The executions of one partition: those in memory, and where the others lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.commands import Failure, WorkflowRef
from flunq.core.packing import Packing
from flunq.core.protocol import Result
from flunq.core.statuses import ENDED
from flunq.services.worker.groups import Groups
from flunq.services.worker.places import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.document.model import Workflow
    from flunq.core.execution.effects import Dispatch
    from flunq.core.execution.state import State
    from flunq.core.expressions import Answer
    from flunq.services.worker.places import Places

STATUS_CODES = (
    "pending",
    "running",
    "waiting",
    "suspended",
    "cancelled",
    "faulted",
    "completed",
    "quarantined",
)


RECALLED = 1_000
BURIED, BURIED_MICROSECONDS = 5_000, 600_000_000
"""How many deleted executions, and for how long, late copies of their starts are recognised."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an execution that has ended: enough for get, result and repeated starts."""

    id: str
    workflow: WorkflowRef
    status: str
    fingerprint: str
    started_at: int
    ended_at: int
    seq: int
    input: Any = None
    output: Any = None
    failure: Failure | None = None
    tags: dict[str, str] = {}
    parent: str | None = None
    request: str = ""
    requests: list[str] = []
    """The newest control commands: what was taken back once is not by a late copy."""

    def result(self) -> Result:
        """Return how it ended."""
        return Result(id=self.id, status=self.status, output=self.output, failure=self.failure)


class Live:
    """An execution in memory."""

    __slots__ = (
        "answers",
        "dirty",
        "evaluating",
        "fingerprint",
        "first",
        "last",
        "seq",
        "state",
        "tainted",
        "touched",
        "workflow",
    )

    def __init__(
        self,
        state: State | None,
        workflow: Workflow | None,
        fingerprint: str,
        *,
        first: int,
        last: int,
    ) -> None:
        self.state = state
        self.workflow = workflow
        self.fingerprint = fingerprint
        self.first = first
        """Journal sequence of the commit with its first event; 0 until acknowledged."""
        self.last = last
        self.seq = state.seq if state else 0
        """Sequence of the last event that a decision returned."""
        self.answers: dict[str, Answer] = {}
        self.evaluating = False
        self.tainted = False
        """A decision failed half-way: the state must not be stored."""
        self.dirty = True
        self.touched = 0.0

    def workflow_of(self) -> Workflow:
        """Return the compiled definition, which everything that decides has loaded before."""
        assert self.workflow is not None
        return self.workflow


class Executions:
    """All executions of a partition by id."""

    def __init__(self, places: Places) -> None:
        self.live: dict[str, Live] = {}
        self.finished: dict[str, tuple[Finished, int, int]] = {}
        """Ended ones not yet in a pack, with their first and last journal sequence."""
        self.places = places
        """Those in packs; an id may also be live, then the live one counts."""
        self.deleted: dict[str, int] = {}
        """Deleted ones, with the newest pack that holds them; older ones may hold them too."""
        self.buried: dict[str, int] = {}
        """The requests that started deleted ones, and when those were deleted, oldest first."""
        self.groups = Groups()
        self._recalled: dict[str, tuple[Finished, int, int]] = {}
        self._abandoned: list[int] = []

    def ended(self, execution: str) -> Finished | None:
        """Return the record of an ended execution if it is in memory."""
        found = self.record(execution)
        return found[0] if found else None

    def record(self, execution: str) -> tuple[Finished, int, int] | None:
        """Return that record with the first and last journal sequence of its execution."""
        return self.finished.get(execution) or self._recalled.get(execution)

    def recall(self, finished: Finished, first: int, last: int) -> None:
        """Keep a record that was read from a pack for a while."""
        if len(self._recalled) >= RECALLED:
            self._recalled.clear()
        self._recalled[finished.id] = (finished, first, last)

    def revive(self, execution: str, live: Live) -> None:
        """Let an execution that had ended go on: its record is none any more."""
        self.live[execution] = live
        self.finished.pop(execution, None)
        self._recalled.pop(execution, None)

    def bury(self, request: str, now: int) -> None:
        """Remember for a while which start a deleted execution came from."""
        if request:
            self.buried[request] = now
        while self.buried:
            oldest = next(iter(self.buried))
            if len(self.buried) <= BURIED and self.buried[oldest] > now - BURIED_MICROSECONDS:
                return
            del self.buried[oldest]

    def forget(self, execution: str) -> None:
        """Drop everything about an execution."""
        self.live.pop(execution, None)
        self.finished.pop(execution, None)
        self._recalled.pop(execution, None)
        place = self.places.pop(execution)
        if place is not None:
            self.deleted[execution] = place.pack
            self._abandoned.append(place.pack)

    def take_abandoned(self) -> list[int]:
        """Return the packs of deleted executions, each once per execution, since the last call."""
        abandoned, self._abandoned = self._abandoned, []
        return abandoned

    def knows(self, execution: str) -> bool:
        """Tell whether there is such an execution."""
        return execution in self.live or execution in self.finished or execution in self.places

    def open(self) -> int:
        """Return how many have not ended, in memory and asleep."""
        return len(self.live) + self.places.open(but=self.live)

    def open_dispatch(self, execution: str, task: str) -> Dispatch | None:
        """Return the dispatch of a task that is still open."""
        live = self.live.get(execution)
        if live is None or live.state is None:
            return None
        opened = live.state.tasks.get(task)
        if opened is None:
            return None
        return opened.dispatch(execution, task, live.state.traceparent, live.state.workflow)

    def place_if_asleep(self, execution: str) -> Place | None:
        """Return where an execution lies if nothing newer than its pack is in memory."""
        if execution in self.live or self.ended(execution) is not None:
            return None
        return self.places.get(execution)

    def in_memory(self) -> Iterator[State | Finished]:
        """Yield what is known of those in memory whose first event is durable, in no order."""
        for live in self.live.values():
            if live.state is not None and live.first:
                yield live.state
        for finished, _, _ in self.finished.values():
            yield finished

    def is_in_memory(self, execution: str) -> bool:
        """Tell whether memory knows more of an execution than its pack."""
        return execution in self.live or execution in self.finished


class Packed(msgspec.Struct, array_like=True):
    """One execution in a pack."""

    id: str
    first: int
    last: int
    fingerprint: str
    ended: bool
    body: bytes
    """A state (:func:`encode_state`) or, if it has ended, a :class:`Finished`."""


class Mark(msgspec.Struct, array_like=True):
    """What the index of a pack says of one execution."""

    id: str
    status: int
    started_at: int
    active: bool
    """It has open tasks, pending transitions or near timers: an owner loads it at once."""
    due: int
    """When its next timer fires; 0 if it has none."""
    workflow: str = ""
    ended_at: int = 0

    def place(self, pack: int) -> Place:
        """Return its entry in the index of the executions."""
        ended = self.ended_at
        if not ended and STATUS_CODES[self.status] in ENDED:
            ended = self.started_at  # packs of earlier versions do not say it
        return Place(self.id, pack, self.status, self.started_at, self.due, self.workflow, ended)


_packing = Packing(Finished)
encode_finished, decode_finished = _packing.encode, _packing.decode
