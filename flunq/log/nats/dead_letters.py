"""Dead letters: what could not be worked on, kept for people to look at."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flunq.log.nats.jetstream import ApiError, identity_block

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names
    from flunq.log.ports import Record

log = logging.getLogger(__name__)
_PAGE_BYTES = 2 * 1024 * 1024


class NatsDeadLetters:
    """A tenant's dead letters in a stream of their own."""

    def __init__(self, js: JetStream, names: Names) -> None:
        self._js = js
        self._names = names

    async def publish(self, data: bytes, *, message_id: str) -> None:
        """Store one letter; a repeat with the same id within the window is stored once."""
        await self._js.publish(self._names.dead_letter, data, identity_block(message_id))

    async def page(self, *, after: int, limit: int) -> list[Record]:
        """Return some letters after a sequence, oldest first; none when there are no more."""
        request = {
            "seq": after + 1,
            "next_by_subj": self._names.dead_letter,
            "batch": limit,
            "max_bytes": _PAGE_BYTES,
        }
        return await self._js.page(self._names.dlq_stream, request)

    async def get(self, seq: int) -> Record | None:
        """Return one letter, None if there is none of that number."""
        found = await self.page(after=seq - 1, limit=1)
        return found[0] if found and found[0].seq == seq else None

    async def drop(self, seq: int) -> bool:
        """Forget a letter; tell whether there was one."""
        if await self.get(seq) is None:
            return False
        try:
            await self._js.insist(f"STREAM.MSG.DELETE.{self._names.dlq_stream}", {"seq": seq})
        except ApiError as error:
            if await self.get(seq) is not None:
                raise
            log.debug("letter %d was dropped by somebody else: %s", seq, error)
            return False
        return True
