"""Tasks pulled from the queue: executed here, reported to whichever node owns the execution."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from flunq.core.events import timestamp
from flunq.core.execution.commands import Failure, Report
from flunq.core.protocol import withdraw_subject
from flunq.log.ports import OutcomeUnknownError, StoreFullError
from flunq.sdk.executor import ERRORS
from flunq.services.clock import Clock, SystemClock
from flunq.services.wire import claim_in, decode_dispatch, decode_withdrawals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.core.execution.effects import Dispatch
    from flunq.log.ports import Blobs, Delivery, EventStream
    from flunq.services.courier import Courier
    from flunq.services.executor.pool import ExecutorPool

    Errand = Callable[[], Awaitable[None]]

_LOGGER = logging.getLogger("flunq.executor")
HEARTBEAT = 10.0
MAX_DELIVERIES = 5
TASK_DEAD = "io.flunq.task.dead"
LETTER_PAUSE = 5.0
_LETTER = 256 * 1024
BUSY_PAUSE = 0.2
"""Seconds after which a task that found no free slot may come again."""


class RemoteExecutor:
    """Feeds a pool from the queue; a task is finished there only once its outcome is safe."""

    def __init__(
        self,
        pool: ExecutorPool,
        stream: EventStream,
        courier: Courier,
        *,
        blobs: Blobs | None = None,
        clock: Clock | None = None,
        heartbeat: float = HEARTBEAT,
        max_deliveries: int = MAX_DELIVERIES,
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._courier = courier
        self._blobs = blobs
        self._clock = clock or SystemClock()
        self._heartbeat = heartbeat
        self._max_deliveries = max_deliveries
        self._open: dict[str, Delivery] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._settled = asyncio.Event()

    async def run(self, tenant: str) -> None:
        """Pull and execute until cancelled; what is unfinished then goes back to the queue."""
        subject = withdraw_subject(tenant)
        try:
            async with (
                self._stream.requests.listen(subject, self._take_withdrawals),
                asyncio.TaskGroup() as group,
            ):
                pulling = group.create_task(self._pull())
                group.create_task(self._beat())
                await self._stopping.wait()
                pulling.cancel()
        finally:
            await asyncio.shield(self._give_back())

    def stop(self) -> None:
        """Pull nothing more; what runs goes on."""
        self._stopping.set()

    async def drain(self, within: float) -> bool:
        """Stop pulling and wait for what runs to be reported; tell whether all is."""
        self.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._open or self._errands:
                    self._settled.clear()
                    await self._settled.wait()
        return not self._open

    async def _pull(self) -> None:
        tasks = self._stream.tasks
        async for delivery in tasks.pull(self._pool.kinds, limit=self._pool.free):
            await self._take(delivery)

    async def _take(self, delivery: Delivery) -> None:
        dispatch = await self._read(delivery)
        if dispatch is None:
            return
        if dispatch.task in self._open:
            # The queue lost patience, but the task is still in hand.
            self._open[dispatch.task] = delivery
        elif delivery.deliveries > self._max_deliveries:
            self._open[dispatch.task] = delivery
            report = _given_up(dispatch, self._max_deliveries)
            await self._keep_letter(delivery, "given up", dispatch.execution, dispatch.task)
            self._courier.send(report, self._finish)
        else:
            await self._begin(dispatch, delivery)

    async def _read(self, delivery: Delivery) -> Dispatch | None:
        """Return the task, or None after the end of one that cannot be read."""
        body: bytes | None = delivery.data
        key = claim_in(delivery.data)
        try:
            if key is not None and self._blobs is not None:
                body = await self._blobs.get(key)
            if body is not None:
                return decode_dispatch(body)
            reason = f"its body {key} is gone"
        except OutcomeUnknownError as error:
            _LOGGER.warning("a queued task waits: %r", error)
            await delivery.retry(LETTER_PAUSE)
            return None
        except msgspec.DecodeError as error:
            reason = f"it cannot be read: {error}"
        _LOGGER.error("a queued task is dropped: %s", reason)
        name = blake2b(delivery.data, digest_size=16).hexdigest()
        if await self._keep_letter(delivery, reason, "", name):
            await delivery.drop()
        else:
            await delivery.retry(LETTER_PAUSE)
        return None

    async def _keep_letter(
        self, delivery: Delivery, reason: str, execution: str, name: str
    ) -> bool:
        """Store a task that nobody can finish among the dead letters; tell whether it is safe."""
        letter = {
            "specversion": "1.0",
            "id": f"{name}.dead",
            "source": "/flunq/executor",
            "type": TASK_DEAD,
            "subject": execution,
            "time": timestamp(self._clock.now()),
            "datacontenttype": "application/json",
            "data": {"reason": reason, "body": delivery.data[:_LETTER].decode(errors="replace")},
        }
        try:
            body = msgspec.json.encode(letter)
            await self._stream.dead_letters.publish(body, message_id=f"{name}.dead")
        except (OutcomeUnknownError, StoreFullError) as error:
            _LOGGER.warning("a dead letter is not stored: %r", error)
            return False
        return True

    async def _begin(self, dispatch: Dispatch, delivery: Delivery) -> None:
        self._open[dispatch.task] = delivery
        begun = self._pool.submit(
            dispatch,
            self._report,
            stopped=lambda: self._stopped(dispatch.task),
            delivery=delivery.deliveries,
        )
        if not begun:
            del self._open[dispatch.task]
            await self._put_back(dispatch, delivery)

    async def _put_back(self, dispatch: Dispatch, delivery: Delivery) -> None:
        """Return a task that was not begun; its deliveries are counted anew, for nobody failed."""
        if delivery.deliveries < self._max_deliveries // 2:
            await delivery.retry(BUSY_PAUSE)
            return
        name = f"{dispatch.task} again {self._clock.now()}"
        try:
            await self._stream.tasks.publish(
                dispatch.kind, dispatch.execution, delivery.data, message_id=name
            )
        except (OutcomeUnknownError, StoreFullError) as error:
            _LOGGER.warning("a task goes back as it came: %r", error)
            await delivery.retry(BUSY_PAUSE)
        else:
            await delivery.drop()

    def _report(self, report: Report) -> None:
        self._courier.send(report, self._finish)

    def _finish(self, report: Report) -> None:
        delivery = self._open.pop(report.task, None)
        if delivery is not None:
            self._do(delivery.ack)

    def _stopped(self, task: str) -> None:
        delivery = self._open.pop(task, None)
        if delivery is not None:
            self._do(partial(delivery.retry, 0) if self._pool.draining else delivery.ack)

    def _take_withdrawals(self, data: bytes) -> None:
        for withdrawal in decode_withdrawals(data):
            if withdrawal.task in self._open:
                self._pool.withdraw(withdrawal.task)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            for delivery in list(self._open.values()):
                await _tolerant(delivery.extend)

    async def _give_back(self) -> None:
        given_back = list(self._open.items())
        self._open.clear()
        for task, delivery in given_back:
            self._pool.withdraw(task)
            await _tolerant(partial(delivery.retry, 0))
        if self._errands:
            await asyncio.wait(self._errands, timeout=1.0)

    def _do(self, errand: Errand) -> None:
        task = asyncio.create_task(_tolerant(errand))
        self._errands.add(task)
        task.add_done_callback(self._done_with)

    def _done_with(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        self._settled.set()


async def _tolerant(errand: Errand) -> None:
    """Do something for the queue; if it does not arrive, the task merely comes again."""
    try:
        await errand()
    except OutcomeUnknownError as error:
        _LOGGER.warning("the task queue did not answer: %s", error)


def _given_up(dispatch: Dispatch, deliveries: int) -> Report:
    failure = Failure(
        type=ERRORS + "runtime",
        status=500,
        title="Given up",
        detail=f"{deliveries} executors began this attempt and none finished it",
    )
    return Report(id=dispatch.execution, task=dispatch.task, failure=failure)
