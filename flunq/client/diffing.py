"""Two executions side by side: tasks aligned by reference, iteration and attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core import events as types
from flunq.core.differences import Difference, differences
from flunq.core.execution.fold import SKIPPED, micros

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from flunq.core.events import LazyEvent
    from flunq.core.protocol import Details

Key = tuple[str, str, int]
"""Reference, path (enclosing loops and re-entries), attempt."""
_ENDS = {
    types.TASK_COMPLETED: "completed",
    types.TASK_FAULTED: "faulted",
    types.TASK_CANCELLED: "cancelled",
}
_VALUES = ("output", "transformed", "with", "value", "input")
"""Where an event may hold what a later one refers to by ``inputFrom``."""


class TaskRun(msgspec.Struct, kw_only=True):
    """One run of a task, as its events tell it."""

    task: str
    path: str = ""
    attempt: int = 1
    kind: str = ""
    status: str = "running"
    started_at: int = 0
    ended_at: int | None = None
    tries: int = 1
    """Attempts of what is below it, for a ``try``."""
    input: Any = None
    output: Any = None
    error: Any = None

    @property
    def key(self) -> Key:
        """What it is aligned by."""
        return self.task, self.path, self.attempt

    @property
    def duration_ms(self) -> float | None:
        """How long it took."""
        return None if self.ended_at is None else (self.ended_at - self.started_at) / 1000


class Side(msgspec.Struct, kw_only=True):
    """One of the two executions."""

    id: str
    workflow: str
    status: str
    duration_ms: float | None
    input: Any
    output: Any
    error: Any
    tasks: dict[Key, TaskRun] = {}


class TaskDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A task in both executions, or in one of them."""

    task: str
    path: str
    attempt: int
    kind: str
    status: tuple[str | None, str | None]
    duration_ms: tuple[float | None, float | None]
    tries: tuple[int | None, int | None]
    input: list[Difference] = []
    output: list[Difference] = []
    error: list[Difference] = []

    @property
    def differs(self) -> bool:
        """Whether it is not the same in both; how long it took is not asked."""
        one, other = self.status
        uneven = one != other or self.tries[0] != self.tries[1]
        return bool(uneven or self.input or self.output or self.error)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two executions side by side."""

    ids: tuple[str, str]
    workflows: tuple[str, str]
    status: tuple[str, str]
    duration_ms: tuple[float | None, float | None]
    equal: bool
    input: list[Difference]
    output: list[Difference]
    error: list[Difference]
    first: TaskDifference | None
    """The first task that is not the same in both."""
    tasks: list[TaskDifference]


async def read_side(details: Details, events: AsyncIterator[LazyEvent]) -> Side:
    """Return an execution as one side of a comparison."""
    return side_of(details, [event async for event in events])


def side_of(details: Details, events: Iterable[LazyEvent]) -> Side:
    """Return an execution as one side of a comparison."""
    ended = details.ended_at
    side = Side(
        id=details.id,
        workflow=f"{details.namespace}/{details.workflow}:{details.version}",
        status=details.status,
        duration_ms=None if ended is None else (ended - details.started_at) / 1000,
        input=details.input,
        output=details.output,
        error=None if details.failure is None else msgspec.to_builtins(details.failure),
    )
    reader = _Reader(side)
    for event in events:
        data = event.value()
        if isinstance(data, dict):
            reader.read(event.type, event.seq, micros(event.time), data)
    return side


class _Reader:
    """Reads the tasks of one execution."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._steps: dict[int, TaskRun] = {}
        self._values: dict[int, Any] = {}

    def read(self, type_name: str, seq: int, at: int, data: dict[str, Any]) -> None:
        """Take one event up."""
        held = next((name for name in _VALUES if name in data), None)
        if held is not None:
            self._values[seq] = data[held]
        step = data.get("step")
        if type_name == types.TASK_STARTED:
            self._start(step, at, data)
        elif type_name == SKIPPED:
            run = TaskRun(task=data["task"], status="skipped", started_at=at, ended_at=at)
            self._add(run)
        elif step in self._steps:
            self._go_on(self._steps[step], type_name, at, data)

    def _start(self, step: Any, at: int, data: dict[str, Any]) -> None:
        value = data.get("input", self._values.get(data.get("inputFrom", 0)))
        run = TaskRun(
            task=data["task"],
            path=str(data.get("path", "")),
            attempt=data.get("attempt", 1),
            kind=str(data.get("kind", "")),
            started_at=at,
            input=data.get("transformed", value),
        )
        self._steps[step] = run
        self._add(run)

    def _add(self, run: TaskRun) -> None:
        while run.key in self._side.tasks:
            run.path += "'"  # such as a task that was skipped twice
        self._side.tasks[run.key] = run

    def _go_on(self, run: TaskRun, type_name: str, at: int, data: dict[str, Any]) -> None:
        if type_name == types.TASK_RETRIED:
            run.tries += 1
        elif type_name in _ENDS:
            run.status, run.ended_at = _ENDS[type_name], at
            run.output, run.error = data.get("output"), data.get("error")


def compare(one: Side, other: Side) -> Comparison:
    """Compare two executions."""
    tasks = [
        _task(one.tasks.get(key), other.tasks.get(key)) for key in _aligned(one.tasks, other.tasks)
    ]
    first = next((task for task in tasks if task.differs), None)
    whole = [
        differences(getattr(one, name), getattr(other, name))
        for name in ("input", "output", "error")
    ]
    return Comparison(
        ids=(one.id, other.id),
        workflows=(one.workflow, other.workflow),
        status=(one.status, other.status),
        duration_ms=(one.duration_ms, other.duration_ms),
        equal=first is None and one.status == other.status and not any(whole),
        input=whole[0],
        output=whole[1],
        error=whole[2],
        first=first,
        tasks=tasks,
    )


def _aligned(one: dict[Key, TaskRun], other: dict[Key, TaskRun]) -> list[Key]:
    """Return all keys: those of both sides in their order, what only one has where it has it."""
    keys: list[Key] = []
    left = iter(one)
    known: set[Key] = set()
    for key in other:
        if key in one and key not in known:
            for before in left:
                if before not in known:
                    keys.append(before)
                    known.add(before)
                if before == key:
                    break
        elif key not in known:
            keys.append(key)
            known.add(key)
    return [*keys, *(key for key in left if key not in known)]


def _task(one: TaskRun | None, other: TaskRun | None) -> TaskDifference:
    some = one or other
    assert some is not None
    return TaskDifference(
        task=some.task,
        path=some.path,
        attempt=some.attempt,
        kind=some.kind,
        status=(one.status if one else None, other.status if other else None),
        duration_ms=(one.duration_ms if one else None, other.duration_ms if other else None),
        tries=(one.tries if one else None, other.tries if other else None),
        input=differences(one.input, other.input) if one and other else [],
        output=differences(one.output, other.output) if one and other else [],
        error=differences(one.error, other.error) if one and other else [],
    )
