"""The tasks of an execution as rows of a tree, attempts folded."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from flunq.core.statuses import ENDED
from flunq_tui.model.execution import CONTAINERS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from flunq_tui.model.execution import Execution, Step

_RUNNING = 1 << 62


class Row(msgspec.Struct, frozen=True):
    """One line of the tree."""

    key: str
    """The step's number; ``5#1`` is the first attempt below step 5."""
    step: int
    depth: int
    label: str
    kind: str
    status: str
    start: int
    end: int | None
    """None as long as it goes on."""
    due: int | None = None
    attempt: int = 0
    folded: bool | None = None
    """None for what has nothing below it."""


def rows(execution: Execution, position: int, toggled: Set[str] = frozenset()) -> list[Row]:
    """Return the lines after an event; ``toggled`` are keys that people folded or unfolded.

    Earlier attempts start folded, everything else unfolded.
    """
    if not execution.last:
        return []
    walk = _Walk(execution, position, toggled)
    status = execution.status(position)
    ended = execution.moment(position) if status in ENDED else None
    root = Row(
        str(ROOT), ROOT, 0, execution.workflow, "workflow", status, execution.moment(1), ended
    )
    return [root, *walk.below(execution.roots(position), 1)]


class _Walk:
    def __init__(self, execution: Execution, position: int, toggled: Set[str]) -> None:
        self._execution = execution
        self._position = position
        self._toggled = toggled
        self._over = execution.status(position) in ENDED

    def below(self, steps: Sequence[Step], depth: int) -> Iterator[Row]:
        for step in steps:
            children = self._execution.children(step, self._position)
            key = str(step.number)
            folded = (key in self._toggled) if children else None
            yield self._row(step, depth, folded)
            if children and not folded:
                yield from self._attempts(step, children, depth + 1)

    def _attempts(self, step: Step, children: Sequence[Step], depth: int) -> Iterator[Row]:
        newest = max(child.attempt for child in children)
        for attempt, found in groupby(children, key=lambda child: child.attempt):
            group = list(found)
            if attempt == newest:
                yield from self.below(group, depth)
                continue
            key = f"{step.number}#{attempt}"
            folded = key not in self._toggled
            yield self._attempt_row(key, group, depth, attempt, folded)
            if not folded:
                yield from self.below(group, depth + 1)

    def _row(self, step: Step, depth: int, folded: bool | None) -> Row:
        position = self._position
        status = step.status(position)
        ending = step.end(position)
        ended: int | None = None if ending is None else ending.moment
        if ended is None and self._over:
            # What was open when the execution ended ended with it, without an event of its own.
            status, ended = "stopped", self._execution.moment(position)
        started = 0 < step.started <= position
        return Row(
            str(step.number),
            step.number,
            depth,
            step.name,
            step.dispatched or step.kind,
            status,
            step.started_at if started else step.moment,
            ended,
            due=self._due(step, status),
            attempt=step.attempts(position) if step.kind in CONTAINERS else step.attempt,
            folded=folded,
        )

    def _due(self, step: Step, status: str) -> int | None:
        if status == "retrying":
            return step.retry_due(self._position)
        return step.due if status == "waiting" else None

    def _attempt_row(
        self, key: str, group: Sequence[Step], depth: int, attempt: int, folded: bool
    ) -> Row:
        last = group[-1]
        ending = last.end(self._position)
        end = None if ending is None else ending.moment
        return Row(
            key,
            last.number,
            depth,
            f"#{attempt}",
            "attempt",
            last.status(self._position),
            group[0].started_at or group[0].moment,
            end,
            attempt=attempt,
            folded=folded,
        )


def span(tree: Sequence[Row], now: int) -> tuple[int, int]:
    """Return the time that a timeline of these rows has to cover."""
    low = min((row.start for row in tree if row.start), default=now)
    high = max((now if row.end is None else row.end for row in tree), default=now)
    return low, max(high, low + 1)
