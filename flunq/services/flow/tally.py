"""Counts the failures of workflows that are to be paused after so many, on all nodes together."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.commands import Start, WorkflowRef
from flunq.core.execution.suspending import HOOK_TAG
from flunq.core.ids import partition_of, token
from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError, RevisionConflictError, StoreFullError
from flunq.services.flow.pausing import pause_of_errors
from flunq.services.wire import encode_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flunq.core.document.model import Workflow
    from flunq.core.flow import WorkflowPause
    from flunq.core.pausing import Pause
    from flunq.log.ports import Database, EventStream
    from flunq.services.flow.board import FlowBoard
    from flunq.services.flow.pauses import Pauses
    from flunq.services.flow.pausing import Pausing

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[int]).decode


class Tally:
    """The failures of late of each workflow: one record of the tenant per version.

    What fails while nobody can reach the record counts as soon as somebody can, unless the process
    ends before; what fails while the workflow is paused does not count.
    """

    def __init__(
        self,
        pausing: Pausing,
        pauses: Pauses,
        stream: EventStream,
        database: Database,
        board: FlowBoard,
        partitions: int,
    ) -> None:
        self._pausing = pausing
        self._pauses = pauses
        self._inbox = stream.inbox
        self._state = database.state
        self._clock = board.clock
        self._head = f"{token(board.tenant)}.flow.failures."
        self._partitions = partitions
        self._fresh: dict[WorkflowRef, list[int]] = {}
        self._counting: set[WorkflowRef] = set()

    def failed(
        self, workflow: Workflow, count: int, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        """Count failures, some time soon; too many of them pause the workflow."""
        ref = workflow.ref
        self._fresh.setdefault(ref, []).extend([self._clock.now()] * count)
        if ref not in self._counting:
            spawn(self._count(workflow))

    async def tell(self) -> None:
        """Start the workflows that are to be told of pauses and were not."""
        for pause in self._pauses.found:
            if pause.hook is not None:
                await self._start(pause, pause.hook)
                await self._pauses.change(partial(_without_hook, pause.id))

    async def _count(self, workflow: Workflow) -> None:
        ref, rule = workflow.ref, workflow.pause
        if ref in self._counting:
            return
        self._counting.add(ref)
        try:
            while rule is not None and (fresh := self._fresh.pop(ref, None)):
                try:
                    count = await self._add(ref, rule, fresh)
                except BaseException:  # also when the partition of who counts has moved
                    again = [*fresh, *self._fresh.get(ref, [])]
                    self._fresh[ref] = again[-rule.after :]
                    raise
                if count >= rule.after:
                    await self._pause(workflow, rule.reason(count))
        except (FlunqError, OutcomeUnknownError, StoreFullError) as error:
            log.warning("failures of %s are not counted now: %s", ref, error)
        finally:
            self._counting.discard(ref)

    async def _add(self, ref: WorkflowRef, rule: Pause, fresh: list[int]) -> int:
        """Add failures to the record; return how many there are within the time."""
        key = self._head + token(str(ref))
        while True:
            await self._pauses.refresh()
            if self._pauses.of(ref) is not None:
                return 0
            entry = await self._state.get(key)
            since = 0 if rule.within is None else self._clock.now() - rule.within
            known = [] if entry is None else _decode(entry.value)
            # What was stored without an answer is not counted twice.
            counted = (Counter(known) | Counter(fresh)).elements()
            times = [at for at in sorted(counted) if at >= since][-rule.after :]
            try:
                await self._state.swap(key, _encode(times), revision=entry.revision if entry else 0)
            except RevisionConflictError:
                continue
            return len(times)

    async def _pause(self, workflow: Workflow, reason: str) -> None:
        ref = workflow.ref
        log.warning("workflow %s is paused: %s", ref, reason)
        hook = workflow.hooks.get("paused")
        wanted = pause_of_errors(ref, hook, reason, self._clock.now())
        _, revision = await self._pausing.put(wanted)
        await self._state.delete(self._head + token(str(ref)))
        await self.tell()
        await self._pausing.spread(revision)

    async def _start(self, pause: WorkflowPause, hook: WorkflowRef) -> None:
        told = {"workflow": str(pause), "status": "paused", "reason": pause.reason}
        start = Start(id=f"hook-{pause.id}", workflow=hook, input=told, tags={HOOK_TAG: f"{pause}"})
        number = partition_of(start.id, self._partitions)
        body = encode_commands([start])
        await self._inbox.publish(number, body, message_id=start.id)


def _without_hook(told: str, found: tuple[WorkflowPause, ...]) -> tuple[WorkflowPause, ...]:
    return tuple(
        msgspec.structs.replace(each, hook=None) if each.id == told else each for each in found
    )
