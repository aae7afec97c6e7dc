"""Tasks pulled from the queue: executed here, reported to whichever node owns the execution."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from flunq.core.execution.commands import Failure, Report
from flunq.core.letters import dead_letter
from flunq.core.protocol import withdraw_subject
from flunq.log.ports import OutcomeUnknownError, StoreFullError
from flunq.sdk.executor import ERRORS
from flunq.services.clock import Clock, SystemClock
from flunq.services.executor.suspects import Probation, Suspects
from flunq.services.wire import claim_in, decode_dispatch, decode_withdrawals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from flunq.core.execution.effects import Dispatch
    from flunq.log.ports import Blobs, Delivery, EventStream
    from flunq.services.courier import Courier
    from flunq.services.executor.pool import ExecutorPool
    from flunq.services.executor.shares import PoolShare
    from flunq.services.flow.gate import FlowGate

    Errand = Callable[[], Awaitable[None]]

_LOGGER = logging.getLogger("flunq.executor")
HEARTBEAT = 10.0
MAX_DELIVERIES = 5
"""How often a task is begun when it cannot be known which one brings a process down."""
FREE_DELIVERIES = 2
"""How often a task is begun beside others before it comes under suspicion."""
MAX_DEATHS = MAX_DELIVERIES - FREE_DELIVERIES
PATIENT_DELIVERIES = 25
"""The same as MAX_DELIVERIES where the guilty are known: only the others come this far."""
LETTER_PAUSE = 5.0
BUSY_PAUSE = 0.2
"""Seconds after which a task that found no free slot may come again."""


class RemoteExecutor:
    """Feeds a pool from the queue; a task is finished there only once its outcome is safe."""

    def __init__(
        self,
        pool: ExecutorPool | PoolShare | FlowGate,
        stream: EventStream,
        courier: Courier,
        *,
        blobs: Blobs | None = None,
        clock: Clock | None = None,
        heartbeat: float = HEARTBEAT,
        max_deliveries: int = MAX_DELIVERIES,
        suspects: Suspects | None = None,
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._courier = courier
        self._blobs = blobs
        self._clock = clock or SystemClock()
        self._heartbeat = heartbeat
        self._max_deliveries = max_deliveries if suspects is None else PATIENT_DELIVERIES
        self._probation = None if suspects is None else Probation(suspects, self._take_turn)
        self._waiting: dict[str, Dispatch] = {}
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
        """Pull nothing more; what runs goes on, what waits goes back."""
        self._stopping.set()
        for task in self._probation.close() if self._probation is not None else ():
            del self._waiting[task]
            self._do(partial(self._open.pop(task).retry, 0))

    def let_go(self, tasks: Iterable[str]) -> None:
        """Give tasks back to the queue that have not begun."""
        for task in tasks:
            delivery = self._close(task)
            if delivery is not None:
                self._do(partial(delivery.retry, 0))

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
        elif self._is_hopeless(dispatch.task, delivery):
            self._open[dispatch.task] = delivery
            report = _given_up(dispatch, delivery.deliveries - 1)
            assert report.failure is not None
            reason = f"given up: {report.failure.detail}"
            await self._keep_letter(delivery, reason, dispatch.task, dispatch)
            self._courier.send(report, self._finish)
        elif self._probation is not None and delivery.deliveries > FREE_DELIVERIES:
            self._open[dispatch.task] = delivery
            self._waiting[dispatch.task] = dispatch
            self._probation.enter(dispatch.task)
        else:
            await self._begin(dispatch, delivery)

    def _is_hopeless(self, task: str, delivery: Delivery) -> bool:
        if self._probation is not None and self._probation.deaths(task) >= MAX_DEATHS:
            return True
        return delivery.deliveries > self._max_deliveries

    def _take_turn(self, task: str) -> None:
        """Begin a task that was under suspicion; nothing else of that kind runs."""
        self._do(partial(self._begin, self._waiting.pop(task), self._open[task]))

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
        if await self._keep_letter(delivery, reason, name):
            await delivery.drop()
        else:
            await delivery.retry(LETTER_PAUSE)
        return None

    async def _keep_letter(
        self, delivery: Delivery, reason: str, name: str, dispatch: Dispatch | None = None
    ) -> bool:
        """Store a task that nobody can finish among the dead letters; tell whether it is safe."""
        letter = dead_letter(
            "task",
            name,
            delivery.data,
            reason=reason,
            now=self._clock.now(),
            source="/flunq/executor",
            # The delivery at which a task is given up begins nothing.
            attempts=delivery.deliveries - (dispatch is not None),
            **_facts(dispatch),
        )
        try:
            body = msgspec.json.encode(letter)
            await self._stream.dead_letters.publish(body, message_id=letter["id"])
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
            self._close(dispatch.task)
            await self._put_back(dispatch, delivery)

    def _close(self, task: str) -> Delivery | None:
        if self._probation is not None:
            self._probation.over(task)
        return self._open.pop(task, None)

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
        delivery = self._close(report.task)
        if delivery is not None:
            self._do(delivery.ack)

    def _stopped(self, task: str) -> None:
        delivery = self._close(task)
        if delivery is not None:
            self._do(partial(delivery.retry, 0) if self._pool.draining else delivery.ack)

    def _take_withdrawals(self, data: bytes) -> None:
        for withdrawal in decode_withdrawals(data):
            task = withdrawal.task
            if self._probation is not None and self._probation.leave(task):
                del self._waiting[task]
                self._do(self._open.pop(task).ack)
            elif task in self._open:
                self._pool.withdraw(task)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            for delivery in list(self._open.values()):
                await _tolerant(delivery.extend)

    async def _give_back(self) -> None:
        self.stop()
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


def _facts(dispatch: Dispatch | None) -> dict[str, str]:
    if dispatch is None:
        return {}
    return {
        "execution": dispatch.execution,
        "task": dispatch.reference,
        "taskId": dispatch.task,
        "kind": dispatch.kind,
    }


def _given_up(dispatch: Dispatch, deliveries: int) -> Report:
    failure = Failure(
        type=ERRORS + "runtime",
        status=500,
        title="Given up",
        detail=f"{deliveries} executors began this attempt and none finished it",
    )
    return Report(id=dispatch.execution, task=dispatch.task, failure=failure)
