"""What commits say besides their events, and what they let happen once they are durable."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from functools import partial
from hashlib import shake_128
from typing import TYPE_CHECKING, Any

from flunq.core.execution.effects import Arm, Disarm, Dispatch, Effect, Finish
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.patience import patiently
from flunq.services.worker.records import finished_record
from flunq.telemetry.catalog import counter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flunq.core.protocol import Result
    from flunq.services.worker.commit import Entry
    from flunq.services.worker.context import WorkerContext
    from flunq.services.worker.executions import Executions
    from flunq.services.worker.hearing import Hearing
    from flunq.services.worker.inbox import InboxPosition
    from flunq.services.worker.outbox import Outbox
    from flunq.services.worker.timers import Timers
    from flunq.services.worker.watchers import Watchers


class Aftermath:
    """The consequences of one partition's commits: nothing of them happens before its commit."""

    def __init__(
        self,
        context: WorkerContext,
        *,
        executions: Executions,
        inbox: InboxPosition,
        hearing: Hearing,
        timers: Timers,
        watchers: Watchers,
        outbox: Outbox,
    ) -> None:
        self.graceful = False
        """The commits from now on say that their owner leaves in order."""
        self.journal_bytes = 0
        """Bytes committed since the last checkpoint."""
        self.much_written = asyncio.Event()
        """The next checkpoint is wanted now."""
        self._context = context
        self._executions = executions
        self._inbox = inbox
        self._hearing = hearing
        self._timers = timers
        self._watchers = watchers
        self._outbox = outbox

    def facts(self, batch: Sequence[Entry], number: int) -> dict[str, Any]:
        """Return what commit ``number`` records about these entries."""
        items: list[dict[str, Any]] = []
        claims: list[tuple[str, str, int]] = []
        padding = 0
        for entry in batch:
            if entry.inbox is not None:
                self._inbox.consumed(entry.inbox)
            if entry.share is not None:
                entry.share.settle()
            items += entry.outbox
            claims += entry.claims
            padding += entry.padding
        facts: dict[str, Any] = {
            "inbox": self._inbox.facts(),
            "releasedThrough": self._outbox.released_through,
        }
        if items:
            facts["outbox"] = items
        if padding:
            facts["padding"] = _incompressible(padding, number)
        if claims:
            facts["claims"] = claims
        bus = self._hearing.facts()
        if bus is not None:
            facts["bus"] = bus
        if self.graceful:
            facts["graceful"] = True
        return facts

    async def store_blobs(self, batch: Sequence[Entry]) -> None:
        """Store the large values that the entries' events refer to."""
        blobs = {key: body for entry in batch for key, body in entry.blobs}
        for key, body in blobs.items():
            put = partial(self._context.database.blobs.put, key, body)
            await patiently(put, "to store a value that a commit needs")

    def follow(self, sequence: int, batch: Sequence[Entry]) -> None:
        """Let the effects of an acknowledged commit happen."""
        results: list[Result] = []
        items: list[dict[str, Any]] = []
        self._hearing.follow_lifecycle(sequence)
        for entry in batch:
            self.journal_bytes += entry.size
            items += entry.outbox
            if entry.settled is not None:
                entry.settled(sequence)
            for effect in entry.effects:
                self._perform(effect, sequence, results)
        if self.journal_bytes > self._context.settings.checkpoint_bytes:
            self.much_written.set()
        crash_point("before-release")
        for result in results:
            self.tell(result)
        self._outbox.add(sequence, items)
        crash_point("after-release")

    def tell(self, result: Result) -> None:
        """Tell those who wait for an execution how it ended."""
        for mailbox in self._watchers.take(result.id):
            self._context.post.add(mailbox, result)

    def _perform(self, effect: Effect, sequence: int, results: list[Result]) -> None:
        if isinstance(effect, Dispatch):
            live = self._executions.live.get(effect.execution)
            if live is not None and live.state is not None and effect.task in live.state.tasks:
                crash_point("before-dispatch")
                self._context.dispatcher.submit(effect)
                crash_point("after-dispatch")
        elif isinstance(effect, Arm):
            self._timers.arm(effect.execution, effect.timer, effect.due)
        elif isinstance(effect, Finish):
            self._finish(effect, sequence, results)
        elif isinstance(effect, Disarm):
            self._timers.disarm(effect.execution, effect.timer)
        else:
            raise TypeError(f"unexpected effect {type(effect).__name__}")

    def _finish(self, effect: Finish, sequence: int, results: list[Result]) -> None:
        live = self._executions.live.pop(effect.execution, None)
        if live is None or live.state is None:
            return
        finished = finished_record(live)
        tenant = self._context.settings.tenant
        counter("flunq_executions_ended_total", tenant, finished.status).inc()
        self._executions.finished[effect.execution] = (finished, live.first, sequence)
        self._hearing.listeners.forget(effect.execution)
        results.append(finished.result())


def _incompressible(size: int, seed: int) -> str:
    """Return a text of about that size that the journal cannot make smaller."""
    return b64encode(shake_128(str(seed).encode()).digest(size * 3 // 4)).decode()
