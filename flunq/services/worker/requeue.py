"""Tasks that the queue has lost are queued again.

The queue is not synced to disk at each write, because what it holds can be derived from the
journal: after a power cut its newest tasks may be gone, while the journal says that they are
queued. Their owner alone can notice. It looks now and then, a bounded number of executions at a
time; a task that was there after all is merely run twice under one key.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flunq.log.ports import NoResponderError, OutcomeUnknownError
from flunq.services.worker.commit import Entry
from flunq.services.worker.recovery import QUEUED

if TYPE_CHECKING:
    from flunq.services.worker.context import WorkerContext
    from flunq.services.worker.owner import Owner

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for which a task must have been queued before anybody asks for it."""
LOOKS = 64
"""Executions that are looked after at a time."""
SLICE = 1000


class Requeue:
    """Looks after the queued tasks of one partition."""

    def __init__(self, context: WorkerContext, owner: Owner) -> None:
        self._tasks = context.stream.tasks
        self._owner = owner
        self._since: dict[str, float] = {}
        """Execution -> when its queued tasks were seen first, or found in order last."""
        self._short: set[str] = set()
        """Executions of which the queue lacked something at the last look."""

    async def look(self) -> None:
        """Look after those executions that have waited longest."""
        now = asyncio.get_running_loop().time()
        waiting = await self._waiting()
        self._since = {e: self._since.get(e, now) for e in waiting}
        self._short.intersection_update(waiting)
        due = sorted((since, e) for e, since in self._since.items() if since + PATIENCE <= now)
        try:
            for _, execution in due[:LOOKS]:
                await self._look_after(execution, now)
        except (OutcomeUnknownError, NoResponderError) as error:
            log.warning("the task queue cannot be looked at: %s", error)

    async def _waiting(self) -> list[str]:
        """Return the executions with queued tasks."""
        live = self._owner.executions.live
        found: list[str] = []
        for turn, execution in enumerate(list(live), 1):
            if self._queued(execution):
                found.append(execution)
            if turn % SLICE == 0:
                await asyncio.sleep(0)
        return found

    def _queued(self, execution: str) -> list[str]:
        live = self._owner.executions.live.get(execution)
        if live is None or live.state is None or live.tainted:
            return []
        return [task for task, opened in live.state.tasks.items() if opened.node == QUEUED]

    async def _look_after(self, execution: str, now: float) -> None:
        count = await self._tasks.queued(execution)
        lost = self._queued(execution)
        if count >= len(lost):
            self._since[execution] = now
            self._short.discard(execution)
        elif execution not in self._short:
            # Its outcome may be on the way here by now: ask once more before it is run again.
            self._short.add(execution)
        else:
            self._since[execution] = now
            self._short.discard(execution)
            log.warning("execution %s: %d of its queued tasks are lost", execution, len(lost))
            items = [{"queue": [execution, task]} for task in lost]
            self._owner.committer.add(Entry(events=[], outbox=items))
