"""What stands for the server: everything that outlives one process of a simulation."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from flunq.log.memory.bucket import MemoryBucket
from flunq.log.memory.log import MemoryLog, Signal
from flunq.log.memory.queue import TaskQueue
from flunq.log.memory.services import Services
from flunq.log.ports import OutcomeUnknownError, StreamGoneError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
MAX_PAYLOAD = 8 * 1024 * 1024


class Operation(NamedTuple):
    """One call on a port, as a fault sees it."""

    client: str
    name: str
    """Port and verb: ``journal.append``, ``state.swap``, ``requests.request`` ..."""
    target: str
    """The partition, key or subject."""


class Faults(Protocol):
    """Where a simulation may disturb the broker."""

    async def before(self, operation: Operation) -> float | None:
        """Run before anything is stored: may wait or raise.

        A number makes the write happen that many seconds later, while the caller is told at
        once that its outcome is unknown.
        """
        ...

    async def after(self, operation: Operation) -> None:
        """Run after the operation took effect: may wait, or raise OutcomeUnknownError."""
        ...


def _wall_clock() -> int:
    return time.time_ns() // 1000


class MemoryBroker:
    """Streams, buckets, queues and services, shared by all that connect to it.

    ``now`` gives microseconds since the epoch and must advance with the event loop's clock.
    """

    _named: dict[str, MemoryBroker] = {}  # noqa: RUF012 - `memory://name` is one broker per process

    def __init__(
        self, *, now: Callable[[], int] = _wall_clock, faults: Faults | None = None
    ) -> None:
        self.now = now
        self.faults = faults
        self.logs: dict[str, MemoryLog] = {}
        self.queues: dict[str, TaskQueue] = {}
        self.buckets: dict[str, MemoryBucket] = {}
        self.wakes: dict[str, dict[tuple[int, str], asyncio.TimerHandle]] = {}
        self.blobs: dict[str, bytes] = {}
        """Of the default tenant."""
        self._tenant_blobs: dict[str, dict[str, bytes]] = {}
        self.leases: dict[str, tuple[bytes, float]] = {}
        self.leases_changed = Signal()
        self.services = Services()
        self._created = 0
        self._mailboxes = 0

    @classmethod
    def at(cls, url: str) -> MemoryBroker:
        """Return the broker that ``memory://name`` names in this process."""
        return cls._named.setdefault(url.removeprefix("memory://"), cls())

    @classmethod
    def forget(cls, url: str) -> None:
        """Drop what ``memory://name`` named."""
        cls._named.pop(url.removeprefix("memory://"), None)

    def blobs_of(self, tenant: str) -> dict[str, bytes]:
        """Return a tenant's large values."""
        if tenant == "default":
            return self.blobs
        return self._tenant_blobs.setdefault(tenant, {})

    def ensure_log(self, name: str) -> None:
        """Create a stream unless it exists."""
        if name not in self.logs:
            self.logs[name] = self._fresh_log()

    def recreate_log(self, name: str) -> None:
        """Delete a stream and make it again, empty, as an operator might."""
        gone = self.logs.pop(name)
        self.logs[name] = self._fresh_log()
        gone.notify_all()

    def delete_log(self, name: str) -> None:
        """Delete a stream, as an operator might."""
        self.logs.pop(name).notify_all()

    def log(self, name: str) -> MemoryLog:
        """Return a stream, or raise StreamGoneError."""
        log = self.logs.get(name)
        if log is None:
            raise StreamGoneError(f"the stream {name} does not exist")
        return log

    def queue(self, name: str) -> TaskQueue:
        """Return a tenant's task queue, or raise StreamGoneError."""
        queue = self.queues.get(name)
        if queue is None:
            raise StreamGoneError(f"the stream {name} does not exist")
        return queue

    def ensure_queue(self, name: str, ack_wait: float) -> None:
        """Create a task queue unless it exists."""
        if name not in self.queues:
            self.queues[name] = TaskQueue(ack_wait, now=self.now)

    def bucket(self, name: str) -> MemoryBucket:
        """Return a key-value bucket, or raise StreamGoneError."""
        bucket = self.buckets.get(name)
        if bucket is None:
            raise StreamGoneError(f"the bucket {name} does not exist")
        return bucket

    def ensure_bucket(self, name: str) -> None:
        """Create a bucket unless it exists."""
        if name not in self.buckets:
            self.buckets[name] = MemoryBucket(self.now)

    def new_mailbox(self) -> str:
        """Return a subject that nobody else has."""
        self._mailboxes += 1
        return f"_INBOX.memory.{self._mailboxes}"

    async def perform(self, operation: Operation, action: Callable[[], Result]) -> Result:
        """Run one operation as a server would: after a moment, and disturbed by the faults."""
        faults = self.faults
        if faults is None:
            await asyncio.sleep(0)
            return action()
        late = await faults.before(operation)
        if late is not None:
            asyncio.get_running_loop().call_later(late, _apply_unseen, action)
            raise OutcomeUnknownError(f"{operation.name} {operation.target}: no answer")
        result = action()
        await faults.after(operation)
        return result

    def _fresh_log(self) -> MemoryLog:
        self._created += 1
        return MemoryLog(created=f"created-{self._created}", now=self.now)


def _apply_unseen(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001 - the caller is gone; a refused late write changes nothing
        return
