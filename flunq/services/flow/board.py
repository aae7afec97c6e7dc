"""What the nodes of a tenant share about flow: records in a bucket, notices between the nodes.

A notice makes others quick; the records alone decide, so a notice that is lost costs a moment.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from flunq.core.events import timestamp
from flunq.core.flow import BreakerRecord, NamedLimit, Notice, notices_subject
from flunq.core.ids import token
from flunq.log.ports import OutcomeUnknownError, RevisionConflictError, StoreFullError
from flunq.services.flow.ledger import Ledger

if TYPE_CHECKING:
    from flunq.log.ports import Database, EventStream
    from flunq.services.clock import Clock

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_breaker = msgspec.json.Decoder(BreakerRecord).decode
_ledger = msgspec.json.Decoder(Ledger).decode
_limits = msgspec.json.Decoder(list[NamedLimit]).decode


class Kept(NamedTuple):
    """A breaker's record and its revision; 0 and None if there is none."""

    record: BreakerRecord | None
    revision: int


class FlowBoard:
    """The shared records of one tenant."""

    def __init__(
        self, tenant: str, stream: EventStream, database: Database, clock: Clock, *, node: str = ""
    ) -> None:
        self.tenant = tenant
        self.node = node
        self.clock = clock
        self._stream = stream
        self._state = database.state
        self._definitions = database.definitions
        head = token(tenant)
        self._breakers = f"{head}.flow.breaker."
        self._ledgers = f"{head}.flow.limit."
        self._limits = f"{head}.limits"
        self._errands: set[asyncio.Task[None]] = set()

    # -- notices -----------------------------------------------------------------------------------

    def tell(self, notice: Notice) -> None:
        """Send a notice to the other nodes, some time soon."""
        self._later(self.tell_now(notice))

    async def tell_now(self, notice: Notice) -> None:
        """Send a notice to the other nodes."""
        body = _encode(msgspec.structs.replace(notice, node=self.node))
        await self._stream.requests.notify(notices_subject(self.tenant), body)

    def announce(self, type_name: str, record: BreakerRecord) -> None:
        """Publish an event about a breaker on the tenant's bus."""
        self.publish(type_name, "breakers", record.target, msgspec.to_builtins(record))

    def publish(self, type_name: str, source: str, subject: str, data: dict[str, Any]) -> None:
        """Publish an event on the tenant's bus, some time soon."""
        self._later(self._publish(type_name, source, subject, data))

    async def _publish(
        self, type_name: str, source: str, subject: str, data: dict[str, Any]
    ) -> None:
        now = self.clock.now()
        name = blake2b(f"{type_name} {subject} {now}".encode(), digest_size=12).hexdigest()
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": name,
            "source": f"/flunq/{self.tenant}/{source}",
            "type": type_name,
            "subject": subject,
            "time": timestamp(now),
            "tenant": self.tenant,
            "datacontenttype": "application/json",
            "data": data,
        }
        await self._stream.bus.publish("eng", _encode(event), type=type_name, message_id=name)

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(_tolerant(work))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # -- breakers ----------------------------------------------------------------------------------

    async def breakers(self) -> list[BreakerRecord]:
        """Return all that are not closed."""
        found = [await self._state.get(key) for key in await self._state.keys(self._breakers)]
        return [_breaker(entry.value) for entry in found if entry is not None]

    async def breaker(self, target: str) -> Kept:
        """Return the record of one target."""
        entry = await self._state.get(self._breakers + _name(target))
        return Kept(None, 0) if entry is None else Kept(_breaker(entry.value), entry.revision)

    async def put_breaker(self, record: BreakerRecord, revision: int) -> bool:
        """Store a record unless somebody else changed it; tell whether it is stored."""
        try:
            key = self._breakers + _name(record.target)
            await self._state.swap(key, _encode(record), revision=revision)
        except RevisionConflictError:
            return False
        self.tell(Notice(about="breaker", name=record.target, record=record))
        return True

    async def drop_breaker(self, target: str) -> None:
        """Forget a record: the breaker is closed."""
        await self._state.delete(self._breakers + _name(target))
        self.tell(Notice(about="breaker", name=target))

    # -- limits ------------------------------------------------------------------------------------

    async def ledger(self, key: str) -> tuple[Ledger, int]:
        """Return what is counted of a key, and the revision."""
        entry = await self._state.get(self._ledgers + _name(key))
        if entry is None:
            return Ledger(key=key), 0
        return _ledger(entry.value), entry.revision

    async def ledgers(self) -> list[Ledger]:
        """Return what is counted of all keys."""
        found = [await self._state.get(key) for key in await self._state.keys(self._ledgers)]
        return [_ledger(entry.value) for entry in found if entry is not None]

    async def put_ledger(self, ledger: Ledger, revision: int) -> int:
        """Store a count; raises RevisionConflictError."""
        key = self._ledgers + _name(ledger.key)
        return await self._state.swap(key, _encode(ledger), revision=revision)

    async def drop_ledger(self, key: str) -> None:
        """Forget what is counted of a key."""
        await self._state.delete(self._ledgers + _name(key))

    async def limits(self) -> tuple[dict[str, NamedLimit], int]:
        """Return the limits that the operator has set, by name, and their revision."""
        entry = await self._definitions.get(self._limits)
        if entry is None:
            return {}, 0
        return {each.name: each for each in _limits(entry.value)}, entry.revision

    async def put_limits(self, limits: dict[str, NamedLimit], revision: int) -> None:
        """Store the limits; raises RevisionConflictError."""
        body = _encode(list(limits.values()))
        await self._definitions.swap(self._limits, body, revision=revision)
        self.tell(Notice(about="limits"))

    async def flush(self) -> None:
        """Wait until all notices and events are out."""
        if self._errands:
            await asyncio.wait(self._errands, timeout=5.0)


def _name(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


async def _tolerant(work: Any) -> None:
    with suppress(OutcomeUnknownError, StoreFullError):  # the records say it too
        await work
