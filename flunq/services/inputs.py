"""Stores what users of tenants send to owners that do not answer: a role of the control process.

They may write to no stream themselves. The owner notes in the audit what it reads,
with the name of whoever asked here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.core.protocol import StoreInput, inputs_subject
from flunq.errors import UsageError
from flunq.log.ports import MessageTooLargeError, OutcomeUnknownError, StoreFullError
from flunq.log.select import event_stream
from flunq.services.answering import answered
from flunq.services.lasting import while_connected

if TYPE_CHECKING:
    import asyncio

    from flunq.log.ports import EventStream
    from flunq.log.select import StreamSettings

_log = logging.getLogger(__name__)
_question = msgspec.json.Decoder(StoreInput).decode


async def run_inputs(connection: StreamSettings, partitions: int, stop: asyncio.Event) -> None:
    """Store until told to stop; raises ConnectionError when the connection is lost."""
    async with event_stream(connection) as stream:
        desk = InputDesk(stream, partitions)
        async with stream.requests.serve(inputs_subject(connection.tenant), desk.answer):
            await while_connected(stream, stop.wait())


class InputDesk:
    """Answers with the sequence that an input has."""

    def __init__(self, stream: EventStream, partitions: int) -> None:
        self._stream = stream
        self._partitions = partitions

    async def answer(self, payload: bytes) -> bytes | None:
        """Store an input; without an answer the sender tries again."""
        try:
            return await answered(payload, _question, self._store)
        except (OutcomeUnknownError, StoreFullError, MessageTooLargeError) as error:
            _log.warning("an input is not stored: %s", error)
            return None

    async def _store(self, question: StoreInput) -> int:
        if question.partition >= self._partitions:
            raise UsageError(f"there is no partition {question.partition}")
        return await self._stream.inbox.publish(
            question.partition,
            bytes(question.commands),
            message_id=question.message_id,
            external=True,
        )
