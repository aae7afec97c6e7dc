"""A tenant's event stream on a :class:`MemoryBroker`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import msgspec

from flunq.core.capacity import Capacity, StreamUse
from flunq.core.protocol import feed_subject
from flunq.log.memory.broker import MAX_PAYLOAD, MemoryBroker, Operation
from flunq.log.memory.services import Listener, Service
from flunq.log.ports import (
    Asker,
    Extent,
    MessageTooLargeError,
    NoResponderError,
    Record,
    RequestTimeoutError,
    StreamGoneError,
    TransportLostError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from flunq.log.memory.log import MemoryLog
    from flunq.log.memory.queue import QueuedTask, TaskQueue
    from flunq.log.ports import Handler
    from flunq.log.select import StreamSettings

_BATCH = 256
_LOGS = {
    "journal": "journal",
    "inbox": "inbox",
    "bus": "events",
    "schedules": "schedules",
    "dead_letters": "dead_letters",
    "audit": "audit",
}
"""The streams of a tenant by their ports, and what each is for."""


class _Port:
    """What all ports of one connection share: the broker, the names, the fate."""

    def __init__(self, owner: MemoryEventStream, stream: str) -> None:
        self._owner = owner
        self._broker = owner.broker
        self._name = stream
        self._port = stream.rpartition("/")[2]

    @property
    def _log(self) -> MemoryLog:
        return self._broker.log(self._name)

    async def _do(self, verb: str, target: object, action: Callable[[], Any]) -> Any:
        self._owner.check_alive()
        operation = Operation(self._owner.settings.name, f"{self._port}.{verb}", str(target))
        return await self._broker.perform(operation, action)

    def _log_reaching(self, after: int) -> MemoryLog:
        log = self._log
        if after > log.last_seq:
            raise StreamGoneError(f"the stream {self._name} ends at {log.last_seq}, before {after}")
        return log

    async def _follow(self, after: int | None) -> AsyncIterator[Record]:
        log = self._log_reaching(after or 0)
        position = log.last_seq if after is None else after
        while True:
            self._owner.check_alive()
            if self._broker.logs.get(self._name) is not log:
                raise StreamGoneError(f"the stream {self._name} was deleted")
            batch = log.read_all(position, _BATCH)
            for record in batch:
                position = record.seq
                yield record
            if not batch:
                await log.wait()


def _with_pending(stream: StreamUse, wakes: Collection[tuple[int, str]]) -> StreamUse:
    """Add the wake-ups that are not due; those are timers here, and messages on a broker."""
    return msgspec.structs.replace(
        stream,
        messages=stream.messages + len(wakes),
        bytes=stream.bytes + sum(len(bucket) for _, bucket in wakes),
        subjects=stream.subjects + len(wakes),
    )


def _check_size(data: bytes, headers: dict[str, str] | None = None) -> None:
    size = len(data) + sum(len(key) + len(value) + 4 for key, value in (headers or {}).items())
    if size > MAX_PAYLOAD:
        raise MessageTooLargeError(f"{size} bytes, the limit is {MAX_PAYLOAD}")


class MemoryJournal(_Port):
    """The journal in memory."""

    async def append(
        self, partition: int, data: bytes, *, expected: int, headers: dict[str, str]
    ) -> int:
        """Store ``data`` if the partition is still at ``expected``."""
        _check_size(data, headers)

        def store() -> int:
            seq = self._log.append(
                str(partition), data, partition=partition, headers=headers, expected=expected
            )
            feed = feed_subject(self._owner.settings.tenant, partition)
            self._broker.services.tell(feed, data)
            return seq

        seq: int = await self._do("append", partition, store)
        return seq

    async def last(self, partition: int) -> Record | None:
        """Return the partition's newest record."""
        record: Record | None = await self._do(
            "last", partition, lambda: self._log.last(str(partition))
        )
        return record

    async def read(self, partition: int, *, after: int, upto: int) -> AsyncIterator[Record]:
        """Yield the partition's records with ``after < seq <= upto``."""
        while True:
            batch: list[Record] = await self._do(
                "read", partition, partial(self._page, partition, after)
            )
            for record in batch:
                if record.seq > upto:
                    return
                after = record.seq
                yield record
            if len(batch) < _BATCH:
                return

    def _page(self, partition: int, after: int) -> list[Record]:
        return self._log.read(str(partition), after, _BATCH)

    def follow(self, *, after: int | None) -> AsyncIterator[Record]:
        """Yield records of all partitions, for ever."""
        return self._follow(after)

    async def partitions(self) -> dict[int, int]:
        """Return how many records each partition has."""
        counts: dict[str, int] = await self._do("partitions", "", lambda: self._log.subjects())
        return {int(subject): count for subject, count in counts.items()}

    async def trim(self, upto: int) -> None:
        """Forget records up to a sequence, but never a partition's last."""

        def purge() -> None:
            log = self._log
            lasts = [record.seq for name in log.subjects() if (record := log.last(name))]
            log.purge(min([upto, *(seq - 1 for seq in lasts)]))

        await self._do("trim", upto, purge)

    async def first_seq(self) -> int:
        """Return the first sequence that is still stored."""
        seq: int = await self._do("first_seq", "", lambda: self._log.first_seq)
        return seq

    async def extent(self) -> Extent:
        """Return what is stored, and which life of the stream this is."""

        def look() -> Extent:
            log = self._log
            return Extent(log.first_seq, log.last_seq, log.size(), log.created)

        extent: Extent = await self._do("extent", "", look)
        return extent


class MemoryInbox(_Port):
    """The inbox in memory."""

    async def publish(
        self, partition: int, data: bytes, *, message_id: str, external: bool = False
    ) -> int:
        """Store an input once."""
        _check_size(data)

        def store() -> int:
            return self._log.append(
                str(partition),
                data,
                partition=partition,
                message_id=message_id,
                external=external,
            )

        seq: int = await self._do("publish", partition, store)
        return seq

    async def created(self) -> str:
        """Return which life of the stream this is."""
        created: str = await self._do("created", "", lambda: self._log.created)
        return created

    async def read(self, partition: int, *, after: int) -> AsyncIterator[list[Record]]:
        """Yield batches of inputs after a sequence, for ever."""
        log = self._log_reaching(after)
        while True:
            batch = await self._do("read", partition, partial(self._batch, log, partition, after))
            if batch:
                after = batch[-1].seq
                yield batch
            elif self._broker.logs.get(self._name) is log and not log.read(
                str(partition), after, 1
            ):
                # Nothing came while the answer was on its way either.
                await log.wait(str(partition))

    async def newest(self, partition: int) -> int:
        """Return the sequence of the newest input."""

        def look() -> int:
            record = self._log.last(str(partition))
            return record.seq if record is not None else 0

        seq: int = await self._do("newest", partition, look)
        return seq

    async def purge(self, partition: int, upto: int) -> None:
        """Forget a partition's inputs up to a sequence."""
        await self._do("purge", partition, lambda: self._log.purge(upto, str(partition)))

    def _batch(self, log: MemoryLog, partition: int, after: int) -> list[Record]:
        if self._broker.logs.get(self._name) is not log:
            raise StreamGoneError(f"the stream {self._name} was deleted")
        return log.read(str(partition), after, _BATCH)


class MemoryDelivery:
    """A task taken from the queue."""

    def __init__(self, port: MemoryTasks, queue: TaskQueue, task: QueuedTask) -> None:
        self.data = task.data
        self.deliveries = task.deliveries
        self._port = port
        self._queue = queue
        self._task = task

    async def ack(self) -> None:
        """Never deliver it again."""
        await self._say("ack", lambda: self._queue.finish(self._task))

    async def retry(self, delay: float) -> None:
        """Deliver it again later."""
        await self._say("retry", lambda: self._queue.hide(self._task, delay))

    async def drop(self) -> None:
        """Give up on it."""
        await self._say("drop", lambda: self._queue.finish(self._task))

    async def extend(self) -> None:
        """Start the ack wait anew."""
        await self._say("extend", lambda: self._queue.hide(self._task, self._queue.ack_wait))

    async def _say(self, verb: str, action: Callable[[], None]) -> None:
        await self._port.tell(verb, self._task, action)


class MemoryTasks(_Port):
    """The work queue in memory."""

    async def publish(self, kind: str, execution: str, data: bytes, *, message_id: str) -> None:
        """Queue a task."""
        _check_size(data)
        await self._do(
            "publish",
            f"{kind}/{execution}",
            lambda: self._broker.queue(self._name).publish(kind, execution, data, message_id),
        )

    async def pull(
        self, kinds: Sequence[str], *, limit: Callable[[], int]
    ) -> AsyncIterator[MemoryDelivery]:
        """Yield tasks while ``limit()`` leaves room."""
        queue = self._broker.queue(self._name)
        loop = asyncio.get_running_loop()
        queue.attend(kinds)
        while True:
            self._owner.check_alive()
            if limit() <= 0:
                await queue.changed.wait(until=loop.time() + 0.05)
            elif task := queue.take(kinds):
                yield MemoryDelivery(self, queue, task)
            else:
                await queue.wait(kinds)

    async def tell(self, verb: str, task: QueuedTask, action: Callable[[], None]) -> None:
        """Tell the queue what became of a task."""
        await self._do(verb, f"{task.kind}/{task.execution}", action)

    async def withdraw(self, execution: str) -> None:
        """Remove an execution's queued tasks."""
        await self._do(
            "withdraw", execution, lambda: self._broker.queue(self._name).withdraw(execution)
        )

    async def queued(self, execution: str) -> int:
        """Return how many of an execution's tasks are unfinished, delivered or not."""
        count: int = await self._do(
            "queued", execution, lambda: self._broker.queue(self._name).count(execution)
        )
        return count


class MemoryBus(_Port):
    """The tenant's CloudEvents in memory."""

    async def publish(self, origin: str, data: bytes, *, type: str, message_id: str) -> int:
        """Store one CloudEvent."""
        _check_size(data)
        seq: int = await self._do(
            "publish",
            f"{origin}/{type}",
            lambda: self._log.append(f"{origin}/{type}", data, message_id=message_id),
        )
        return seq

    async def last_seq(self) -> int:
        """Return the sequence of the newest event."""
        seq: int = await self._do("last_seq", "", lambda: self._log.last_seq)
        return seq

    def follow(self, *, after: int | None) -> AsyncIterator[Record]:
        """Yield events, for ever."""
        return self._follow(after)


class MemorySchedules(_Port):
    """Wake-ups in memory: a pending one is a timer of the loop, a due one a record."""

    def __init__(self, owner: MemoryEventStream, stream: str) -> None:
        super().__init__(owner, stream)
        self._pending = owner.broker.wakes.setdefault(stream, {})

    async def wake_at(self, partition: int, bucket: str, due: int) -> None:
        """Send one wake-up at ``due``; replaces an older one."""
        await self._do(
            "wake_at", f"{partition}/{bucket}", lambda: self._arm(partition, bucket, due)
        )

    async def cancel(self, partition: int, bucket: str) -> None:
        """Withdraw a wake-up."""
        await self._do("cancel", f"{partition}/{bucket}", lambda: self._disarm(partition, bucket))

    async def wakes(self, partition: int) -> AsyncIterator[str]:
        """Yield due buckets, for ever; one is forgotten when the next is asked for."""
        log = self._log
        while True:
            self._owner.check_alive()
            batch = log.read(str(partition), 0, 1)
            if not batch:
                await log.wait(str(partition))
                continue
            yield batch[0].data.decode()
            log.purge(batch[0].seq, str(partition))

    def _arm(self, partition: int, bucket: str, due: int) -> None:
        self._disarm(partition, bucket)
        loop = asyncio.get_running_loop()
        wait = max(0, due - self._broker.now()) / 1_000_000
        self._pending[partition, bucket] = loop.call_later(wait, self._fire, partition, bucket, due)

    def _disarm(self, partition: int, bucket: str) -> None:
        if handle := self._pending.pop((partition, bucket), None):
            handle.cancel()

    def _fire(self, partition: int, bucket: str, due: int) -> None:
        if self._broker.now() < due:
            # Two clocks need not agree to the microsecond; a wake-up is never early.
            self._arm(partition, bucket, due)
            return
        del self._pending[partition, bucket]
        if self._name in self._broker.logs:
            self._log.append(str(partition), bucket.encode(), partition=partition)


class MemoryDeadLetters(_Port):
    """Dead letters in memory."""

    async def publish(self, data: bytes, *, message_id: str) -> None:
        """Store one letter once."""
        _check_size(data)
        await self._do(
            "publish", message_id, lambda: self._log.append("letter", data, message_id=message_id)
        )

    async def page(self, *, after: int, limit: int) -> list[Record]:
        """Return some letters after a sequence."""
        found: list[Record] = await self._do(
            "page", after, lambda: self._log.read("letter", after, limit)
        )
        return found

    async def get(self, seq: int) -> Record | None:
        """Return one letter."""
        found = await self.page(after=seq - 1, limit=1)
        return found[0] if found and found[0].seq == seq else None

    async def drop(self, seq: int) -> bool:
        """Forget a letter."""
        dropped: bool = await self._do("drop", seq, lambda: self._log.drop(seq))
        return dropped


class MemoryAuditTrail(_Port):
    """Who did what, in memory."""

    async def publish(self, data: bytes, *, message_id: str) -> int:
        """Store one batch once."""
        _check_size(data)
        seq: int = await self._do(
            "publish", message_id, lambda: self._log.append("audit", data, message_id=message_id)
        )
        return seq

    async def page(
        self, *, after: int = 0, since: float | None = None, limit: int = 256
    ) -> list[Record]:
        """Return batches, oldest first."""

        def read() -> list[Record]:
            log = self._log
            found = log.read("audit", after, log.last_seq)
            return [each for each in found if since is None or each.time >= since][:limit]

        records: list[Record] = await self._do("page", after, read)
        return records

    async def keep(self, seconds: float) -> None:
        """Create the trail if it is missing; memory is gone before anything is old."""
        await self._do("keep", seconds, lambda: self._broker.ensure_log(self._name))


class MemoryRequests(_Port):
    """Requests and notices in memory."""

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        timeout: float,  # noqa: ASYNC109 - the port's signature
        repeatable: bool = False,
    ) -> bytes:
        """Ask and wait."""
        _check_size(data)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        await self._do("request", subject, lambda: self._ask(subject, data, answer))
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise RequestTimeoutError(f"{subject}: no answer within {timeout:g} s") from None

    @asynccontextmanager
    async def serve(self, subject: str, handler: Handler) -> AsyncIterator[None]:
        """Answer requests while the context is open."""
        service = Service(subject, handler, lambda: self._owner.is_lost)
        self._broker.services.add_service(service)
        try:
            yield
        finally:
            self._broker.services.remove_service(service)
            await service.aclose()

    async def notify(self, subject: str, data: bytes) -> None:
        """Send without an answer."""
        _check_size(data)
        await self._do("notify", subject, lambda: self._broker.services.tell(subject, data))

    @asynccontextmanager
    async def listen(self, subject: str, receive: Callable[[bytes], None]) -> AsyncIterator[None]:
        """Hear notices while the context is open."""
        listener = Listener(subject, receive, lambda: self._owner.is_lost)
        self._broker.services.add_listener(listener)
        try:
            yield
        finally:
            self._broker.services.remove_listener(listener)

    def mailbox(self) -> str:
        """Return a fresh subject."""
        return self._broker.new_mailbox()

    def _ask(self, subject: str, data: bytes, answer: asyncio.Future[bytes]) -> None:
        services = self._broker.services.services_of(subject)
        if not services:
            raise NoResponderError(f"nobody serves {subject}")
        mine = self._owner.settings
        who = Asker(mine.user or "", mine.claim, mine.proof, subject)
        for service in services:
            service.ask(data, answer, who)


class MemoryEventStream:
    """Everything a tenant's events travel through, in memory."""

    def __init__(self, settings: StreamSettings, broker: MemoryBroker | None = None) -> None:
        self.settings = settings
        self.broker = broker or MemoryBroker.at(settings.url)
        self._lost: str | None = None
        self._lost_signal: asyncio.Future[str] | None = None
        prefix = settings.tenant
        self.journal = MemoryJournal(self, f"{prefix}/journal")
        self.inbox = MemoryInbox(self, f"{prefix}/inbox")
        self.tasks = MemoryTasks(self, f"{prefix}/tasks")
        self.bus = MemoryBus(self, f"{prefix}/bus")
        self.schedules = MemorySchedules(self, f"{prefix}/schedules")
        self.requests = MemoryRequests(self, f"{prefix}/requests")
        self.dead_letters = MemoryDeadLetters(self, f"{prefix}/dead_letters")
        self.audit = MemoryAuditTrail(self, f"{prefix}/audit")

    @property
    def max_payload(self) -> int:
        """Return how many bytes one message may have."""
        return MAX_PAYLOAD

    async def __aenter__(self) -> Self:
        self._lost_signal = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._lost_signal is not None:
            self._lost_signal.cancel()

    async def ensure(self, partitions: int) -> None:
        """Create what is missing."""
        for stream in _LOGS:
            self.broker.ensure_log(f"{self.settings.tenant}/{stream}")
        self.broker.ensure_queue(f"{self.settings.tenant}/tasks", self.settings.ack_wait)

    async def destroy(self) -> None:
        """Delete the tenant's streams."""
        for stream in _LOGS:
            name = f"{self.settings.tenant}/{stream}"
            if name in self.broker.logs:
                self.broker.delete_log(name)
        self.broker.queues.pop(f"{self.settings.tenant}/tasks", None)

    async def scour(self) -> list[str]:
        """Memory keeps nothing that was taken."""
        return []

    async def capacity(self) -> Capacity:
        """Say how full the tenant's streams are, and how far their durable consumers are."""
        self.check_alive()
        operation = Operation(self.settings.name, "stream.capacity", self.settings.tenant)
        return await self.broker.perform(operation, self._look)

    def _look(self) -> Capacity:
        tenant, broker = self.settings.tenant, self.broker
        streams = [
            _with_pending(broker.logs[name].use(name, kind), broker.wakes.get(name, {}))
            for port, kind in _LOGS.items()
            if (name := f"{tenant}/{port}") in broker.logs
        ]
        queue = broker.queues.get(f"{tenant}/tasks")
        if queue is None:
            return Capacity(streams=streams)
        tasks, consumers = queue.use(f"{tenant}/tasks")
        return Capacity(streams=[*streams, tasks], consumers=consumers)

    async def wait_lost(self) -> str:
        """Return the reason once :meth:`lose` was called."""
        assert self._lost_signal is not None, "use it within `async with`"
        return await asyncio.shield(self._lost_signal)

    def lose(self, reason: str) -> None:
        """Cut this connection for good, as a simulation may."""
        self._lost = reason
        if self._lost_signal is not None and not self._lost_signal.done():
            self._lost_signal.set_result(reason)
        for log in self.broker.logs.values():
            log.notify_all()
        for queue in self.broker.queues.values():
            queue.changed.notify()

    @property
    def is_lost(self) -> bool:
        """Whether :meth:`lose` was called."""
        return self._lost is not None

    def check_alive(self) -> None:
        """Raise TransportLostError after :meth:`lose`."""
        if self._lost is not None:
            raise TransportLostError(self._lost)
