"""The tenant's CloudEvents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.log.nats.jetstream import identity_block
from flunq.log.nats.readers import OrderedReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names
    from flunq.log.ports import Record


class NatsBus:
    """Events from outside and from the engine, told apart by their subject."""

    def __init__(self, js: JetStream, names: Names) -> None:
        self._js = js
        self._names = names

    async def publish(self, origin: str, data: bytes, *, type: str, message_id: str) -> int:
        """Store one CloudEvent under ``origin``."""
        return await self._js.publish(
            self._names.event(origin, type), data, identity_block(message_id)
        )

    async def last_seq(self) -> int:
        """Return the sequence of the newest event."""
        info = await self._js.insist(f"STREAM.INFO.{self._names.events_stream}")
        return int(info["state"]["last_seq"])

    async def follow(self, *, after: int | None) -> AsyncIterator[Record]:
        """Yield events after a sequence (None: only new ones), for ever."""
        stream, heard_on = self._names.events_stream, self._names.all_events
        reader = OrderedReader(self._js, stream, ">", after=after, heard_on=heard_on)
        async for batch in reader.batches():
            for record in batch:
                yield record
