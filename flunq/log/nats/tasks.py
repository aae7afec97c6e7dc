"""The work queue: a subject per kind and execution, a durable consumer per kind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.ids import token
from flunq.log.nats.jetstream import ApiError, identity_block, parse_status
from flunq.log.nats.kv import subjects
from flunq.log.nats.names import EXECUTORS
from flunq.log.nats.readers import ends_pull, parse_position
from flunq.log.nats.sleeping import AWAKE_SECONDS, may_sleep, until_stored
from flunq.log.ports import NoResponderError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from flunq.log.nats.connection import Collector, Connection, Reply
    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names

_log = logging.getLogger(__name__)
_SECOND = 1_000_000_000
BACKOFF = (1, 2, 4, 10)
"""How the ack wait grows before a task that nobody finished comes again; the last one repeats. The
broker knows no maximum: it would leave the task lying there silently. Whoever pulls sees the count.
"""
_QUIET_PULL, _LONG_PULL, _SHORT_PULL = 30.0, 5.0, 0.3
"""How long a pull stays open: where nothing came for a while, usually, where room is scarce."""
_QUIET_SHARE = 4
"""A lane where nothing came for a while keeps hardly any room from the others."""
_ROOM_CHECK = 0.05
_GREATEST_PULL = 256


class NatsDelivery:
    """One task pulled from the queue."""

    __slots__ = ("_connection", "_finished", "_reply", "data", "deliveries")

    def __init__(
        self,
        connection: Connection,
        reply: str,
        data: bytes,
        deliveries: int,
        finished: Callable[[], None],
    ) -> None:
        self.data = data
        self.deliveries = deliveries
        self._connection = connection
        self._reply = reply
        self._finished = finished

    async def ack(self) -> None:
        """Done: never deliver it again."""
        await self._answer(b"+ACK")

    async def retry(self, delay: float) -> None:
        """Deliver it again after ``delay`` seconds."""
        await self._answer(b'-NAK {"delay": %d}' % int(delay * _SECOND))

    async def drop(self) -> None:
        """Give up on it: never deliver it again."""
        await self._answer(b"+TERM")

    async def extend(self) -> None:
        """Still working on it."""
        await self._send(b"+WPI")

    def give_back(self) -> None:
        """Deliver it to somebody else at once, if that can still be said."""
        if self._connection.client.is_connected:
            self._connection.client.send(self._reply, b"-NAK")

    async def _answer(self, verdict: bytes) -> None:
        self._finished()
        await self._send(verdict)

    async def _send(self, verdict: bytes) -> None:
        # A verdict that is lost costs a second delivery, which the owner recognises.
        with contextlib.suppress(RequestTimeoutError):
            await self._connection.send(self._reply, verdict)


class NatsTasks:
    """The work queue of a tenant."""

    def __init__(self, js: JetStream, names: Names, *, ack_wait: float) -> None:
        self._js = js
        self._names = names
        self._ack_wait = ack_wait

    async def publish(self, kind: str, execution: str, data: bytes, *, message_id: str) -> None:
        """Queue a task."""
        await self._js.publish(self._names.task(kind, execution), data, identity_block(message_id))

    async def pull(
        self, kinds: Sequence[str], *, limit: Callable[[], int]
    ) -> AsyncIterator[NatsDelivery]:
        """Yield tasks of these kinds for ever.

        ``limit()`` says how many more can be taken right now; no more than that are asked for.
        """
        puller = _Puller(self._js, self._names, limit, len(kinds), self._ack_wait)
        lanes = [asyncio.create_task(puller.run(kind), name=f"pull-{kind}") for kind in kinds]
        try:
            while True:
                yield await puller.next()
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            puller.give_back()

    async def withdraw(self, execution: str) -> None:
        """Remove an execution's queued tasks."""
        await self._js.insist(
            f"STREAM.PURGE.{self._names.tasks_stream}",
            {"filter": self._names.tasks_of_execution(execution)},
        )

    async def queued(self, execution: str) -> int:
        """Return how many of an execution's tasks are unfinished, delivered or not."""
        pattern = self._names.tasks_of_execution(execution)
        found = await subjects(self._js, self._names.tasks_stream, pattern)
        return sum(found.values())


class _Puller:
    """Shares the room that an executor has among one lane per kind."""

    def __init__(
        self, js: JetStream, names: Names, limit: Callable[[], int], lanes: int, ack_wait: float
    ) -> None:
        self._js = js
        self._names = names
        self._limit = limit
        self._lanes = lanes
        self._ack_wait = ack_wait
        self._asked = 0
        self._ready: asyncio.Queue[NatsDelivery | Exception] = asyncio.Queue()
        self._room = asyncio.Event()
        # Its waiters are served in order, so that no kind starves when there is little room.
        self._turn = asyncio.Lock()

    async def next(self) -> NatsDelivery:
        """Return the next task; raises what ended a lane."""
        item = await self._ready.get()
        if isinstance(item, Exception):
            raise item
        return item

    def give_back(self) -> None:
        """Return what was delivered and not taken to the queue."""
        while not self._ready.empty():
            item = self._ready.get_nowait()
            if isinstance(item, NatsDelivery):
                item.give_back()

    async def run(self, kind: str) -> None:
        """Pull one kind for ever; what ends that goes to the reader."""
        try:
            await self._pull_for_ever(kind)
        except Exception as error:  # noqa: BLE001 - `next` raises it
            self._ready.put_nowait(error)

    async def _pull_for_ever(self, kind: str) -> None:
        """Pull one kind while there are tasks, making its consumer again when it is gone."""
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            try:
                if may_sleep(self._js):
                    await self._sleep(kind)
                consumer = await self._ensure_consumer(kind)
                with self._js.connection.channel() as answers:
                    quiet = 0.0
                    while quiet < AWAKE_SECONDS or not may_sleep(self._js):
                        expires, taken = await self._pull(consumer, answers, quiet)
                        quiet = 0.0 if taken else quiet + expires
                        pause = 0.0
            except (NoResponderError, RequestTimeoutError, ApiError) as reason:
                _log.debug("pulling %s again: %s", kind, reason)
                pause = min(max(pause * 2, 0.02), 1.0)

    async def _sleep(self, kind: str) -> None:
        """Return when there may be a task of this kind, begun elsewhere or not."""
        stream, subject = self._names.tasks_stream, self._names.tasks_of_kind(kind)
        await until_stored(self._js, stream, subject, after=0, heard_on=subject)

    async def _ensure_consumer(self, kind: str) -> str:
        name = f"{EXECUTORS}{token(kind)}"
        subject = self._names.tasks_of_kind(kind)
        config: dict[str, Any] = {
            "durable_name": name,
            "name": name,
            "ack_policy": "explicit",
            "ack_wait": int(self._ack_wait * _SECOND),
            "backoff": [int(self._ack_wait * times * _SECOND) for times in BACKOFF],
            "max_deliver": -1,
            "max_ack_pending": 50_000,
            "filter_subject": subject,
        }
        stream = self._names.tasks_stream
        await self._js.insist(
            f"CONSUMER.CREATE.{stream}.{name}.{subject}", {"stream_name": stream, "config": config}
        )
        return name

    async def _pull(self, consumer: str, answers: Collector, quiet: float) -> tuple[float, int]:
        """Ask once; returns how long that stayed open at most, and how many tasks came."""
        async with self._turn:
            while (count := self._share()) <= 0:
                await self._wait_for_room()
            expires = self._patience(count, quiet)
            if expires == _QUIET_PULL:
                count = min(count, _QUIET_SHARE)
            self._asked += count
        wanted = count
        try:
            request = {"batch": count, "expires": int(expires * _SECOND)}
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._names.tasks_stream}.{consumer}"
            self._js.connection.ask(subject, msgspec.json.encode(request), answers)
            while count > 0:
                taken, ended = self._sort(await _take(answers, expires))
                self._asked -= taken
                count -= taken
                if ended:
                    break
        finally:
            self._asked -= count
            self._room.set()
        return expires, wanted - count

    def _patience(self, count: int, quiet: float) -> float:
        if count * self._lanes > self._free():
            return _SHORT_PULL
        if quiet < _LONG_PULL or not self._js.connection.is_to_the_only_server:
            return _LONG_PULL
        return _QUIET_PULL

    async def _wait_for_room(self) -> None:
        """Wait for a finished task or an ended pull; room that comes otherwise is noticed too."""
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ROOM_CHECK):
                await self._room.wait()

    def _sort(self, items: list[tuple[bytes, Reply] | Exception]) -> tuple[int, bool]:
        taken = 0
        for item in items:
            if isinstance(item, Exception):
                raise item
            reply_subject, reply = item
            status = parse_status(reply.headers)
            if status is None:
                taken += 1
                self._deliver(reply_subject, reply)
            elif ends_pull(status.code, status.text):
                return taken, True
            else:
                raise NoResponderError(f"{status.code} {status.text}")
        return taken, False

    def _deliver(self, reply_subject: bytes, reply: Reply) -> None:
        deliveries = parse_position(reply_subject).deliveries
        self._ready.put_nowait(
            NatsDelivery(
                self._js.connection,
                reply_subject.decode(),
                reply.data,
                deliveries,
                self._room.set,
            )
        )

    def _free(self) -> int:
        return self._limit() - self._asked - self._ready.qsize()

    def _share(self) -> int:
        """Return how many one lane may ask for: an equal part, or one when there are too few."""
        free = self._free()
        return min(max(free // self._lanes, 1), _GREATEST_PULL) if free > 0 else 0


async def _take(answers: Collector, expires: float) -> list[tuple[bytes, Reply] | Exception]:
    try:
        return await answers.take(within=expires + 2.0)
    except TimeoutError:
        raise RequestTimeoutError("the pull never ended") from None
