"""Tasks that wait for a slot: workflows take turns, and priorities give them more turns."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from flunq.core.traffic import DEFAULT_PRIORITY

if TYPE_CHECKING:
    from flunq.core.execution.effects import Dispatch


class _Line:
    """The tasks of one workflow with one priority, oldest first."""

    __slots__ = ("key", "step", "tasks", "turn")

    def __init__(self, key: tuple[str, int], turn: float) -> None:
        self.key = key
        # Each priority has twice the turns of the one below it, so none is ever left out.
        self.step = 2.0 ** (DEFAULT_PRIORITY - key[1])
        self.turn = turn
        self.tasks: deque[Dispatch] = deque()


class FairQueue:
    """Hands out tasks so that no workflow waits for all the tasks of another.

    Each line has its turn: after a task the line moves back by a step that is shorter the higher
    its priority is. A line that comes anew begins where the others are.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int], _Line] = {}
        self._order: list[tuple[float, int, _Line]] = []
        self._count = 0
        self._number = 0
        self._turn = 0.0

    def __len__(self) -> int:
        return self._count

    def push(self, dispatch: Dispatch) -> None:
        """Add a task."""
        traffic = dispatch.traffic
        priority = DEFAULT_PRIORITY if traffic is None else traffic.priority
        key = (dispatch.workflow, priority)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(key, self._turn)
            line.turn += line.step
            self._enter(line)
        line.tasks.append(dispatch)
        self._count += 1

    def first(self) -> Dispatch | None:
        """Return the task whose turn it is; None if there is none."""
        return self._order[0][2].tasks[0] if self._order else None

    def pop(self) -> Dispatch:
        """Take the task whose turn it is."""
        _, _, line = heapq.heappop(self._order)
        dispatch = line.tasks.popleft()
        self._count -= 1
        self._turn = line.turn
        if line.tasks:
            line.turn += line.step
            self._enter(line)
        else:
            del self._lines[line.key]
        return dispatch

    def _enter(self, line: _Line) -> None:
        self._number += 1
        heapq.heappush(self._order, (line.turn, self._number, line))
