"""A tenant's work queue in memory: redelivery after a wait, extension, withdrawal."""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING

from flunq.log.memory.log import Signal

if TYPE_CHECKING:
    from collections.abc import Sequence


class QueuedTask:
    """A task until it is finished; ``lease`` invalidates older places in the heap."""

    __slots__ = ("data", "deliveries", "execution", "kind", "lease", "seq")

    def __init__(self, seq: int, kind: str, execution: str, data: bytes) -> None:
        self.seq = seq
        self.kind = kind
        self.execution = execution
        self.data = data
        self.deliveries = 0
        self.lease = 0


class TaskQueue:
    """First in, first out per kind; what nobody finishes comes again."""

    def __init__(self, ack_wait: float) -> None:
        self.ack_wait = ack_wait
        self.changed = Signal()
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
        task = QueuedTask(self._seq, kind, execution, data)
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
        self.hide(task, self.ack_wait)
        return task

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
        self._tasks.pop(task.seq, None)

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
