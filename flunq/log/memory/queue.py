"""A tenant's work queue in memory: redelivery after a wait, extension, withdrawal."""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING

from flunq.core.capacity import ConsumerUse, StreamUse
from flunq.log.memory.log import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class QueuedTask:
    """A task until it is finished; ``lease`` invalidates older places in the heap."""

    __slots__ = ("data", "deliveries", "execution", "kind", "lease", "seq", "time")

    def __init__(self, seq: int, kind: str, execution: str, data: bytes, time: int) -> None:
        self.seq = seq
        self.time = time
        self.kind = kind
        self.execution = execution
        self.data = data
        self.deliveries = 0
        self.lease = 0


class Lane:
    """The tasks of one kind, as those see them who take them."""

    __slots__ = ("acked_at", "delivered_at", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.delivered_at: int | None = None
        self.acked_at: int | None = None


class TaskQueue:
    """First in, first out per kind; what nobody finishes comes again."""

    def __init__(self, ack_wait: float, *, now: Callable[[], int]) -> None:
        self.ack_wait = ack_wait
        self.changed = Signal()
        self._now = now
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[int, QueuedTask] = {}
        self._heaps: dict[str, list[tuple[float, int, int]]] = {}
        self._ids: dict[str, float] = {}
        self._seq = 0

    def publish(self, kind: str, execution: str, data: bytes, message_id: str) -> None:
        """Queue a task unless its id was seen within the last two minutes."""
        now = asyncio.get_running_loop().time()
        if self._ids.get(message_id, float("-inf")) > now - 120.0:
            return
        self._ids[message_id] = now
        self._seq += 1
        task = QueuedTask(self._seq, kind, execution, data, self._now())
        self._tasks[task.seq] = task
        self._offer(task, now)

    def take(self, kinds: Sequence[str]) -> QueuedTask | None:
        """Return the next task that is due, hidden from others for the ack wait."""
        now = asyncio.get_running_loop().time()
        due = [(at, kind) for kind in kinds if (at := self._next_of(kind)) is not None]
        if not due or min(due)[0] > now:
            return None
        _, seq, _ = heapq.heappop(self._heaps[min(due)[1]])
        task = self._tasks[seq]
        task.deliveries += 1
        self._lane(task.kind).delivered_at = self._now()
        self.hide(task, self.ack_wait)
        return task

    def attend(self, kinds: Sequence[str]) -> None:
        """Note that somebody takes tasks of these kinds."""
        for kind in kinds:
            self._lane(kind)

    async def wait(self, kinds: Sequence[str]) -> None:
        """Wait until there may be something to take."""
        lanes = [self._lane(kind) for kind in kinds]
        for lane in lanes:
            lane.waiting += 1
        try:
            await self.changed.wait(until=self.next_due(kinds))
        finally:
            for lane in lanes:
                lane.waiting -= 1

    def next_due(self, kinds: Sequence[str]) -> float | None:
        """Return the loop time at which the next task of these kinds can be taken."""
        due = [at for kind in kinds if (at := self._next_of(kind)) is not None]
        return min(due) if due else None

    def hide(self, task: QueuedTask, delay: float) -> None:
        """Deliver a task again after ``delay`` seconds, unless it is finished before."""
        if task.seq in self._tasks:
            task.lease += 1
            self._offer(task, asyncio.get_running_loop().time() + delay)

    def finish(self, task: QueuedTask) -> None:
        """Never deliver a task again."""
        if self._tasks.pop(task.seq, None) is not None:
            self._lane(task.kind).acked_at = self._now()

    def use(self, name: str) -> tuple[StreamUse, list[ConsumerUse]]:
        """Say how full it is, and how far those are who take from it."""
        tasks = self._tasks.values()
        stream = StreamUse(
            name=name,
            kind="tasks",
            messages=len(tasks),
            bytes=sum(len(task.data) for task in tasks),
            subjects=len({(task.kind, task.execution) for task in tasks}),
            first_at=min((task.time for task in tasks), default=None),
            last_at=max((task.time for task in tasks), default=None),
            consumers=len(self._lanes),
        )
        return stream, [self._use_of(kind, lane, name) for kind, lane in self._lanes.items()]

    def _use_of(self, kind: str, lane: Lane, stream: str) -> ConsumerUse:
        deliveries = [task.deliveries for task in self._tasks.values() if task.kind == kind]
        return ConsumerUse(
            stream=stream,
            name=f"exec-{kind}",
            serves=kind,
            pending=deliveries.count(0),
            unacked=sum(times > 0 for times in deliveries),
            redelivered=sum(times > 1 for times in deliveries),
            waiting=lane.waiting,
            delivered_at=lane.delivered_at,
            acked_at=lane.acked_at,
        )

    def _lane(self, kind: str) -> Lane:
        return self._lanes.setdefault(kind, Lane())

    def count(self, execution: str) -> int:
        """Return how many of an execution's tasks are unfinished."""
        return sum(task.execution == execution for task in self._tasks.values())

    def lose(self, newest: int) -> None:
        """Forget the newest tasks and that they ever came, as a power cut may."""
        for seq in sorted(self._tasks)[-newest:] if newest else []:
            del self._tasks[seq]
        self._ids.clear()

    def withdraw(self, execution: str) -> None:
        """Remove an execution's tasks."""
        for task in [t for t in self._tasks.values() if t.execution == execution]:
            del self._tasks[task.seq]

    def _offer(self, task: QueuedTask, at: float) -> None:
        heapq.heappush(self._heaps.setdefault(task.kind, []), (at, task.seq, task.lease))
        self.changed.notify()

    def _next_of(self, kind: str) -> float | None:
        heap = self._heaps.get(kind, [])
        while heap:
            at, seq, lease = heap[0]
            task = self._tasks.get(seq)
            if task is not None and task.lease == lease:
                return at
            heapq.heappop(heap)
        return None
