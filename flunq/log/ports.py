"""The ports to whatever stores and carries events; NATS and memory implement all of them.

Two families, chosen by configuration: an :class:`EventStream` (``EVENT_STREAM_TYPE``) carries
journal, inbox, tasks, bus, schedules and requests; a :class:`Database` (``DB_TYPE``) keeps
key-value buckets, blobs and leases. One contract suite holds every implementation to the same
behaviour.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, Self

import msgspec

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from flunq.core.capacity import Capacity


class SequenceConflictError(Exception):
    """Somebody else wrote to the partition since ``expected`` was read; nothing was stored."""


class OutcomeUnknownError(Exception):
    """No clean answer: the write may have been stored, may be stored later, or never."""


class NoResponderError(Exception):
    """Nobody serves the subject of a request."""


class RequestTimeoutError(OutcomeUnknownError):
    """A request got no answer before its deadline."""


class RevisionConflictError(Exception):
    """A key was written since the revision that the writer knew."""


class StoreFullError(Exception):
    """The store refuses writes: a limit or the disk is reached."""


class MessageTooLargeError(Exception):
    """Payload and headers together exceed what the broker takes; nothing was sent."""


class NotPermittedError(Exception):
    """The broker does not let this user do that."""


class StreamGoneError(Exception):
    """A stream is missing, or was deleted and made again: its sequences mean nothing any more."""


class TransportLostError(Exception):
    """The connection is gone for good; the process should end and be restarted."""


class Record(msgspec.Struct, frozen=True):
    """One stored message of a stream."""

    seq: int
    data: bytes
    partition: int = -1
    headers: dict[str, str] = {}
    subject: str = ""
    time: float = 0.0
    external: bool = False
    """It came in through the way that clients may use, so it may say only what clients may."""


class Extent(msgspec.Struct, frozen=True):
    """What a journal holds: its first and last sequence, its bytes, and when it was made."""

    first: int
    last: int
    bytes: int
    created: str


class Journal(Protocol):
    """The append-only truth: one literal subject per partition in one stream per tenant."""

    async def append(
        self, partition: int, data: bytes, *, expected: int, headers: dict[str, str]
    ) -> int:
        """Store ``data`` if the partition's last sequence is ``expected``; return its sequence.

        Raises SequenceConflictError, StoreFullError, or OutcomeUnknownError for anything else.
        """
        ...

    async def last(self, partition: int) -> Record | None:
        """Return the partition's newest record, read from the leader."""
        ...

    def read(self, partition: int, *, after: int, upto: int) -> AsyncIterator[Record]:
        """Yield the partition's records with ``after < seq <= upto`` in order."""
        ...

    def follow(self, *, after: int | None) -> AsyncIterator[Record]:
        """Yield records of all partitions after ``after`` (None: only new ones), for ever.

        Raises StreamGoneError when the stream was made again, or ends before ``after``.
        """
        ...

    async def partitions(self) -> dict[int, int]:
        """Return how many records each partition that was ever written to has."""
        ...

    async def trim(self, upto: int) -> None:
        """Forget records up to a sequence; the caller proved that nobody needs them."""
        ...

    async def first_seq(self) -> int:
        """Return the first sequence that is still stored (1 when nothing was trimmed)."""
        ...

    async def extent(self) -> Extent:
        """Return what is stored, and the time of creation, which tells two journals apart."""
        ...


class Inbox(Protocol):
    """The durable way in when the owner cannot be asked directly; position kept by the reader."""

    async def publish(
        self, partition: int, data: bytes, *, message_id: str, external: bool = False
    ) -> int:
        """Store an input; a repeat with the same id within the window is stored once."""
        ...

    async def created(self) -> str:
        """Return the stream's creation time, which tells whether sequences still mean the same."""
        ...

    def read(self, partition: int, *, after: int) -> AsyncIterator[list[Record]]:
        """Yield batches of the partition's inputs after a sequence, for ever, as they arrive.

        Raises StreamGoneError when the stream was made again, or ends before ``after``.
        """
        ...

    async def newest(self, partition: int) -> int:
        """Return the sequence of a partition's newest input, 0 if none is stored."""
        ...

    async def purge(self, partition: int, upto: int) -> None:
        """Forget a partition's inputs up to and including a sequence."""
        ...


class Delivery(Protocol):
    """One task pulled from the queue."""

    data: bytes
    deliveries: int

    async def ack(self) -> None:
        """Done: never deliver it again."""
        ...

    async def retry(self, delay: float) -> None:
        """Deliver it again after ``delay`` seconds."""
        ...

    async def drop(self) -> None:
        """Give up on it: never deliver it again."""
        ...

    async def extend(self) -> None:
        """Still working on it."""
        ...


class Tasks(Protocol):
    """The work queue for executors that are not in the owner's process."""

    async def publish(self, kind: str, execution: str, data: bytes, *, message_id: str) -> None:
        """Queue a task."""
        ...

    def pull(self, kinds: Sequence[str], *, limit: Callable[[], int]) -> AsyncIterator[Delivery]:
        """Yield tasks of these kinds for ever.

        ``limit()`` says how many more can be taken right now; no more than that are asked for,
        and those asked for may be delivered before the iterator is asked for the next.
        """
        ...

    async def withdraw(self, execution: str) -> None:
        """Remove an execution's queued tasks."""
        ...

    async def queued(self, execution: str) -> int:
        """Return how many of an execution's tasks are unfinished, delivered or not."""
        ...


class Bus(Protocol):
    """The tenant's CloudEvents, outside (``ext``) and engine-made (``eng``)."""

    async def publish(self, origin: str, data: bytes, *, type: str, message_id: str) -> int:
        """Store one CloudEvent under ``origin``."""
        ...

    async def last_seq(self) -> int:
        """Return the sequence of the newest event; 0 if there is none."""
        ...

    def follow(self, *, after: int | None) -> AsyncIterator[Record]:
        """Yield events after a sequence (None: only new ones), for ever."""
        ...


class Schedules(Protocol):
    """Wake-ups kept by the broker."""

    async def wake_at(self, partition: int, bucket: str, due: int) -> None:
        """Send one wake-up for (partition, bucket) at ``due`` microseconds; replaces an older."""
        ...

    async def cancel(self, partition: int, bucket: str) -> None:
        """Withdraw a wake-up; unknown ones are ignored."""
        ...

    def wakes(self, partition: int) -> AsyncIterator[str]:
        """Yield the buckets of a partition's wake-ups as they come due, for ever.

        A wake-up is forgotten once the next one is asked for, so that a crash repeats it.
        """
        ...


class Asker(msgspec.Struct, frozen=True):
    """Who sent what is being worked on, as far as the broker can tell."""

    user: str = ""
    """The user of the connection that waits for the answer."""
    claim: str = ""
    """What the sender says of itself, such as a user and a machine; nobody checked it."""
    proof: str = ""
    """What only the processes of the cluster know."""
    subject: str = ""
    """The subject that was asked, where a pattern is served."""


BY_HEADER = "Flunq-By"
_NOBODY = Asker()
asker: ContextVar[Asker] = ContextVar("flunq_asker", default=_NOBODY)
"""Set while a handler of :meth:`Requests.serve` works."""

Handler = Callable[[bytes], Awaitable[bytes | None]]


class Requests(Protocol):
    """Core request and reply, and fire-and-forget notices; nothing is stored."""

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        timeout: float,  # noqa: ASYNC109 - a request without a deadline cannot be made
        repeatable: bool = False,
    ) -> bytes:
        """Ask and wait; raises NoResponderError or RequestTimeoutError.

        What is ``repeatable`` may reach whoever answers twice, for a connection that breaks
        takes the first copy with it.
        """
        ...

    def serve(self, subject: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Answer requests to a subject while the context is open; None means no answer.

        Handlers run concurrently: the next request is taken while one awaits its commit.
        """
        ...

    async def notify(self, subject: str, data: bytes) -> None:
        """Send without an answer."""
        ...

    def listen(
        self, subject: str, receive: Callable[[bytes], None]
    ) -> AbstractAsyncContextManager[None]:
        """Call ``receive`` for each notice while the context is open."""
        ...

    def mailbox(self) -> str:
        """Return a fresh subject that only this connection listens to."""
        ...


class DeadLetters(Protocol):
    """What could not be worked on, kept for people to look at."""

    async def publish(self, data: bytes, *, message_id: str) -> None:
        """Store one letter; a repeat with the same id within the window is stored once."""
        ...

    async def page(self, *, after: int, limit: int) -> list[Record]:
        """Return some letters after a sequence, oldest first; none when there are no more."""
        ...

    async def get(self, seq: int) -> Record | None:
        """Return one letter, None if there is none of that number."""
        ...

    async def drop(self, seq: int) -> bool:
        """Forget a letter; tell whether there was one."""
        ...


class AuditTrail(Protocol):
    """Who did what, kept for a long time; batches of entries in the order of their arrival."""

    async def publish(self, data: bytes, *, message_id: str) -> int:
        """Store one batch; a repeat with the same id within the window is stored once."""
        ...

    async def page(
        self, *, after: int = 0, since: float | None = None, limit: int = 256
    ) -> list[Record]:
        """Return the batches after a sequence and from a moment on, oldest first."""
        ...

    async def keep(self, seconds: float) -> None:
        """Create the trail if it is missing, and forget batches after so long; 0: never."""
        ...


class EventStream(Protocol):
    """Everything a tenant's events travel through. ``async with`` connects and closes."""

    @property
    def journal(self) -> Journal:
        """The append-only truth."""
        ...

    @property
    def inbox(self) -> Inbox:
        """The durable way in."""
        ...

    @property
    def tasks(self) -> Tasks:
        """The work queue."""
        ...

    @property
    def bus(self) -> Bus:
        """The tenant's CloudEvents."""
        ...

    @property
    def schedules(self) -> Schedules:
        """Wake-ups."""
        ...

    @property
    def requests(self) -> Requests:
        """Questions, answers and notices."""
        ...

    @property
    def dead_letters(self) -> DeadLetters:
        """What nobody could work on."""
        ...

    @property
    def audit(self) -> AuditTrail:
        """Who did what."""
        ...

    @property
    def max_payload(self) -> int:
        """Return how many bytes one message may have, headers included."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...

    async def ensure(self, partitions: int) -> None:
        """Create what is missing, idempotently."""
        ...

    async def destroy(self) -> None:
        """Delete the tenant's streams with all they hold, idempotently."""
        ...

    async def scour(self) -> list[str]:
        """Leave nothing on disk of inputs and tasks that were taken; say what could not go yet."""
        ...

    async def capacity(self) -> Capacity:
        """Say how full the tenant's streams are, and how far their durable consumers are."""
        ...

    async def wait_lost(self) -> str:
        """Return, with the reason, once the connection is lost for good."""
        ...


class Entry(msgspec.Struct, frozen=True):
    """A stored value with the revision to compare-and-set against."""

    key: str
    value: bytes
    revision: int


class KeyValue(Protocol):
    """One bucket."""

    async def get(self, key: str) -> Entry | None:
        """Return the newest value, read from the leader."""
        ...

    async def put(self, key: str, value: bytes) -> int:
        """Store unconditionally; return the revision."""
        ...

    async def swap(self, key: str, value: bytes, *, revision: int) -> int:
        """Store if the key's revision is still ``revision`` (0: the key must not exist).

        Raises RevisionConflictError.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove a key; unknown ones are ignored."""
        ...

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that start with ``prefix``."""
        ...

    async def since(self, revision: int) -> list[Entry]:
        """Return what was put after a revision and is still there, oldest first."""
        ...

    async def stamp(self) -> str:
        """Return what is another text after every change, so that readers may save theirs."""
        ...

    async def scour(self) -> None:
        """Leave nothing on disk of values that were replaced or deleted before; takes a while."""
        ...


class Blobs(Protocol):
    """Large values, by key."""

    async def put(self, key: str, data: bytes) -> None:
        """Store a value; storing it again is harmless."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return a value."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a value; unknown ones are ignored."""
        ...

    async def size(self) -> int:
        """Return how many bytes are stored."""
        ...

    async def erase(self, key: str) -> None:
        """Remove a value so that nothing of it is left on disk; unknown ones are ignored."""
        ...


class Leases(Protocol):
    """Who is alive: entries that vanish unless renewed."""

    async def renew(self, name: str, value: bytes) -> None:
        """Create or renew this process's lease."""
        ...

    async def release(self, name: str) -> None:
        """Give the lease up at once."""
        ...

    async def live(self) -> dict[str, bytes]:
        """Return all live leases."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yield at the start and whenever the set of live leases may have changed, for ever."""
        ...


class Database(Protocol):
    """Key-value buckets, blobs and leases. ``async with`` connects and closes."""

    @property
    def definitions(self) -> KeyValue:
        """Registered workflows."""
        ...

    @property
    def state(self) -> KeyValue:
        """Checkpoint packs: derivable from the journal, so not fsynced at each write."""
        ...

    @property
    def tenants(self) -> KeyValue:
        """One record per tenant."""
        ...

    @property
    def nodes(self) -> KeyValue:
        """What nodes say about themselves."""
        ...

    @property
    def secrets(self) -> KeyValue:
        """Sealed values, one per name."""
        ...

    @property
    def identity(self) -> KeyValue:
        """Keys and tokens of the cluster."""
        ...

    @property
    def blobs(self) -> Blobs:
        """Values too large for an event."""
        ...

    @property
    def leases(self) -> Leases:
        """Who is alive."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...

    async def ensure(self) -> None:
        """Create what is missing, idempotently."""
        ...

    async def destroy(self) -> None:
        """Delete the tenant's blobs, idempotently."""
        ...

    async def capacity(self, *, shared: bool) -> Capacity:
        """Say how full the tenant's blobs are, and the ``shared`` buckets of all tenants."""
        ...
