"""Effects that leave no trace in the state: the commit itself remembers them until they are out.

Later commits record ``released_through``, the journal sequence up to which everything is out. A
new owner releases what comes after it again, with the same ids; receivers drop repeats.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import is_reference
from flunq.core.execution.effects import Dispatch
from flunq.core.protocol import EngineCommand
from flunq.log.ports import MessageTooLargeError
from flunq.services.worker.claims import resolve
from flunq.services.worker.crashpoints import crash_point

if TYPE_CHECKING:
    from flunq.services.worker.context import WorkerContext

log = logging.getLogger(__name__)

Release = Callable[[], Coroutine[Any, Any, None]]
OpenDispatch = Callable[[str, str], Dispatch | None]


class Outbox:
    """The unreleased items of one partition."""

    def __init__(
        self,
        context: WorkerContext,
        partition: int,
        *,
        open_dispatch: OpenDispatch,
        released_through: int,
    ) -> None:
        self.released_through = released_through
        self._context = context
        self._open_dispatch = open_dispatch
        self._partition = partition
        self._pending: dict[int, int] = {}
        """Journal sequence -> items of that commit not yet out, oldest first."""
        self._newest = released_through
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_to: dict[str, asyncio.Task[None]] = {}

    def add(self, sequence: int, items: Sequence[dict[str, Any]]) -> None:
        """Release a commit's items."""
        self._newest = sequence
        if not items:
            self._advance()
            return
        self._pending[sequence] = len(items)
        for item in items:
            self._begin(partial(self._release, sequence, item), item.get("to"))

    def _begin(self, release: Release, to: str | None) -> None:
        """Release an item beside the others, but after the one before to the same execution."""
        before = self._last_to.get(to) if to else None
        task = asyncio.get_running_loop().create_task(_after(before, release))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if to:
            self._last_to[to] = task
            task.add_done_callback(lambda done: self._forget(to, done))

    def _forget(self, to: str, done: asyncio.Task[None]) -> None:
        if self._last_to.get(to) is done:
            del self._last_to[to]

    def close(self) -> None:
        """Stop releasing; the next owner does the rest."""
        for task in list(self._tasks):
            task.cancel()

    def _advance(self) -> None:
        self.released_through = min(self._pending) - 1 if self._pending else self._newest

    async def _release(self, sequence: int, item: dict[str, Any]) -> None:
        delay = 0.05
        while True:
            crash_point("before-outbox")
            try:
                await self._send(item)
                break
            except (MessageTooLargeError, LookupError) as error:
                log.error("partition %d: an outbox item is dropped: %r", self._partition, error)
                break
            except Exception as error:  # noqa: BLE001 - this owner alone would release it
                log.warning("partition %d: outbox item waits: %r", self._partition, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
        crash_point("after-outbox")
        self._pending[sequence] -= 1
        if not self._pending[sequence]:
            del self._pending[sequence]
            self._advance()

    async def _send(self, item: dict[str, Any]) -> None:
        context = self._context
        if "queue" in item:
            dispatch = self._open_dispatch(*item["queue"])
            if dispatch is not None:
                await context.dispatcher.queue(dispatch)
        elif "withdraw" in item:
            execution, task, kind, *ended = item["withdraw"]
            await context.dispatcher.withdraw(execution, task, kind, ended=any(ended))
        elif "tell" in item:
            command = item["tell"]
            if is_reference(command):
                command = await resolve(command, context.database.blobs)
            await context.courier.deliver(msgspec.convert(command, EngineCommand))
        elif "publish" in item:
            message_id, event = item["publish"]
            if is_reference(event):
                event = await resolve(event, context.database.blobs)
            await context.stream.bus.publish(
                "eng", msgspec.json.encode(event), type=event["type"], message_id=message_id
            )
        elif "dead" in item:
            message_id, letter = item["dead"]
            if is_reference(letter):
                letter = await resolve(letter, context.database.blobs)
            await context.stream.dead_letters.publish(
                msgspec.json.encode(letter), message_id=message_id
            )


async def _after(before: asyncio.Task[None] | None, release: Release) -> None:
    if before is not None:
        await asyncio.wait([before])
    await release()
