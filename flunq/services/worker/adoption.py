"""Open tasks whose holder is dead are taken over, and those that kill their holders given up.

The journal counts how often each task was begun (``delivery``). One that was in the hands of
processes that died is tried alone from its third delivery on, so that the next death tells
whether it was the one, and its neighbours are not given up for what they did not do.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from flunq.core.execution.commands import Failure, Report
from flunq.core.execution.faults import BASE
from flunq.core.execution.state import CHILD
from flunq.services.worker.burying import bury_task
from flunq.services.worker.commit import Entry
from flunq.services.worker.jobs import Job
from flunq.services.worker.recovery import QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flunq.core.execution.state import OpenTask
    from flunq.services.worker.context import WorkerContext
    from flunq.services.worker.owner import Owner

log = logging.getLogger(__name__)
T = TypeVar("T")

CLAIMS = 500
"""Tasks that are asked for, and taken over, at a time."""
TOGETHER = 2
"""Deliveries for which a task runs beside others."""
MAX_DELIVERIES = 5
ALONE_SECONDS = 5.0
"""A task that has run alone for so long does not hold up the next suspect any longer."""
_LOOK_SECONDS = 0.02


class Adoption:
    """Takes the open tasks of one partition over from processes that do not hold them."""

    def __init__(self, context: WorkerContext, owner: Owner, *, graceful: bool) -> None:
        self._context = context
        self._owner = owner
        self._step = 0 if graceful else 1
        """What a take-over adds to a delivery: an orderly leave is nobody's fault."""
        self._suspects: set[str] = set()
        self._missing: tuple[int, set[tuple[str, str]]] = 0, set()
        """How many entries there were at the last look, and what was not run then."""

    async def adopt(self) -> None:
        """Take over what belongs to dead processes, or what its holder does not know."""
        me = self._context.settings.writer
        by_holder: dict[str, list[tuple[str, str]]] = {me: []}
        for execution, live in self._owner.executions.live.items():
            if live.state is None or live.tainted:
                continue
            for task, opened in live.state.tasks.items():
                if opened.kind == CHILD:
                    continue  # it has an owner of its own
                if opened.node != QUEUED and task not in self._suspects:
                    by_holder.setdefault(opened.node, []).append((execution, task))
        self._take(me, self._forgotten(by_holder.pop(me)))
        for holder, tasks in by_holder.items():
            for some in batched(tasks, CLAIMS):
                held = await self._context.dispatcher.held_by(holder, [t for _, t in some])
                self._take(holder, [(e, t) for e, t in some if held is None or t not in held])
        self._step = 1

    def _forgotten(self, tasks: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those tasks of this process that it does not run.

        An owner that is replaced after a commit, and before it hears of that, releases nothing;
        when the partition then comes back to its process, nobody else is to be asked. What is
        still on its way is told apart by the commits: all that were under way at the last look
        are released by now.
        """
        held = self._context.dispatcher.held([task for _, task in tasks])
        missing = {pair for pair in tasks if pair[1] not in held}
        committer = self._owner.committer
        added, before = self._missing
        self._missing = committer.added, missing
        if committer.acknowledged < added:
            return []
        return [pair for pair in tasks if pair in missing and pair in before]

    def _take(self, holder: str, tasks: list[tuple[str, str]]) -> None:
        together: list[tuple[str, str]] = []
        alone: list[tuple[int, str, str]] = []
        for execution, task in tasks:
            opened = self._open(execution, task)
            # While the holder was asked, the task may have ended or been taken already.
            if opened is None or opened.node != holder:
                continue
            delivery = opened.delivery + self._step
            if delivery > MAX_DELIVERIES:
                self._give_up(execution, task, opened.delivery)
            elif delivery > TOGETHER and self._context.dispatcher.takes(opened.kind):
                alone.append((delivery, execution, task))
            else:
                together.append((execution, task))
        self._claim(together)
        if alone:
            self._suspects.update(task for _, _, task in alone)
            self._owner.spawn(self._try_alone(sorted(alone)))

    def _open(self, execution: str, task: str) -> OpenTask | None:
        live = self._owner.executions.live.get(execution)
        if live is None or live.state is None or live.tainted:
            return None
        return live.state.tasks.get(task)

    def _claim(self, tasks: list[tuple[str, str]]) -> None:
        """Dispatch tasks again, once the journal says that this process holds them now."""
        entry = Entry(events=[])
        for execution, task in tasks:
            opened = self._open(execution, task)
            if opened is None:
                continue
            if self._context.dispatcher.takes(opened.kind):
                opened.node = self._context.settings.writer
                opened.delivery += self._step
                entry.claims.append((execution, task, opened.delivery))
                dispatch = self._owner.executions.open_dispatch(execution, task)
                assert dispatch is not None
                entry.effects.append(dispatch)
            else:
                opened.node = QUEUED
                entry.outbox.append({"queue": [execution, task]})
            self._owner.executions.live[execution].dirty = True
        if tasks:
            self._owner.committer.add(entry)

    async def _try_alone(self, tasks: list[tuple[int, str, str]]) -> None:
        """Run suspects one after the other, of all partitions of this process."""
        for _, execution, task in tasks:
            async with self._context.trials.tasks:
                await self._context.trials.no_inputs()
                self._claim([(execution, task)])
                await self._outlived(execution, task)
            self._suspects.discard(task)

    async def _outlived(self, execution: str, task: str) -> None:
        try:
            async with asyncio.timeout(ALONE_SECONDS):
                # The many ways in which a task ends all show in the state.
                while self._open(execution, task) is not None:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            log.info("task %s runs on, others are tried beside it", task)

    def _give_up(self, execution: str, task: str, deliveries: int) -> None:
        log.error("task %s is given up: its process died %d times", task, deliveries)
        failure = Failure(
            type=f"{BASE}runtime",
            status=500,
            title="Given up",
            detail=f"the process that ran it died {deliveries} times",
        )
        dispatch = self._owner.executions.open_dispatch(execution, task)
        if dispatch is not None:
            bury_task(self._owner, dispatch, f"given up: {failure.detail}", deliveries)
        self._owner.submit(Job(Report(id=execution, task=task, failure=failure)))


def batched(items: list[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
