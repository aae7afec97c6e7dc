"""Who did what: a stream of its own, kept for a long time."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flunq.log.nats.jetstream import identity_block
from flunq.log.nats.streams import audit_stream, ensure

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names
    from flunq.log.ports import Record

_PAGE_BYTES = 4 * 1024 * 1024


class NatsAuditTrail:
    """A tenant's audit in JetStream."""

    def __init__(self, js: JetStream, names: Names, replicas: int) -> None:
        self._js = js
        self._names = names
        self._replicas = replicas

    async def keep(self, seconds: float) -> None:
        """Create the trail if it is missing, and forget batches after so long."""
        config = audit_stream(self._names, self._replicas)
        await ensure(self._js, [config | {"max_age": int(seconds * 1_000_000_000)}])

    async def publish(self, data: bytes, *, message_id: str) -> int:
        """Store one batch; a repeat with the same id within two minutes is stored once."""
        return await self._js.publish(self._names.audit, data, identity_block(message_id))

    async def page(
        self, *, after: int = 0, since: float | None = None, limit: int = 256
    ) -> list[Record]:
        """Return the batches after a sequence and from a moment on, oldest first."""
        request: dict[str, Any] = {
            "next_by_subj": self._names.audit,
            "batch": limit,
            "max_bytes": _PAGE_BYTES,
        }
        # The server takes a position or a moment; the moment is needed for the first page alone.
        if after or since is None:
            request["seq"] = after + 1
        else:
            # Stored moments are finer than a float can say: rather one entry too many.
            moment = math.floor(since * 1000) / 1000
            request["start_time"] = datetime.fromtimestamp(moment, UTC).isoformat()
        return await self._js.page(self._names.audit_stream, request)
