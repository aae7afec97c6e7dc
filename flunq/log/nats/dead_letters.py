"""Dead letters: what could not be worked on, kept for people to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flunq.log.nats.jetstream import identity_block

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names


class NatsDeadLetters:
    """A tenant's dead letters in a stream of their own."""

    def __init__(self, js: JetStream, names: Names) -> None:
        self._js = js
        self._names = names

    async def publish(self, data: bytes, *, message_id: str) -> None:
        """Store one letter; a repeat with the same id within the window is stored once."""
        await self._js.publish(self._names.dead_letter, data, identity_block(message_id))
