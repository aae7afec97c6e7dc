"""The inbox: inputs in order per partition; the reader keeps its position in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.core.protocol import Answer, StoreInput
from flunq.core.tenancy import TENANT_USERS
from flunq.log.nats.asking import signed_input
from flunq.log.nats.jetstream import PUBLISH_TIMEOUT, identity_block
from flunq.log.nats.readers import OrderedReader
from flunq.log.ports import NoResponderError, OutcomeUnknownError, RequestTimeoutError, asker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names
    from flunq.log.ports import Record


_EXTERNAL, _ENGINE = "ext", "eng"


class NatsInbox:
    """The durable way in when the owner cannot be asked directly."""

    def __init__(self, js: JetStream, names: Names) -> None:
        self._js = js
        self._names = names
        self._stream = names.inbox_stream

    async def publish(
        self, partition: int, data: bytes, *, message_id: str, external: bool = False
    ) -> int:
        """Store an input; a repeat with the same id within two minutes is stored once."""
        settings = self._js.connection.settings
        if external and (settings.user or "").startswith(f"{TENANT_USERS}."):
            return await self._hand_in(partition, data, message_id)
        subject = self._names.inbox(partition, _EXTERNAL if external else _ENGINE)
        headers = identity_block(message_id)
        if external:
            # What is stored on behalf of somebody who asks is theirs.
            who = asker.get()
            user, claim = who.user or settings.user, who.claim or settings.claim
            headers = signed_input(headers, user, claim)
        return await self._js.publish(subject, data, headers)

    async def _hand_in(self, partition: int, data: bytes, message_id: str) -> int:
        """Have a control process store an input: this user may not."""
        connection = self._js.connection
        question = StoreInput(
            partition=partition, message_id=message_id, commands=msgspec.Raw(data)
        )
        try:
            reply = await connection.request(
                self._names.inputs,
                msgspec.json.encode(question),
                within=PUBLISH_TIMEOUT,
                headers=connection.introduction,
            )
            answer = msgspec.json.decode(reply.data, type=Answer)
        except (NoResponderError, RequestTimeoutError, msgspec.DecodeError) as error:
            raise OutcomeUnknownError(f"the input may not be stored: {error}") from error
        if answer.problem is not None:
            raise OutcomeUnknownError(str(answer.problem.get("detail", "the input is refused")))
        return int(msgspec.json.decode(answer.value))

    async def created(self) -> str:
        """Return the stream's creation time."""
        info = await self._js.insist(f"STREAM.INFO.{self._stream}")
        return str(info["created"])

    async def read(self, partition: int, *, after: int) -> AsyncIterator[list[Record]]:
        """Yield batches of the partition's inputs after a sequence, for ever."""
        subject = self._names.inbox(partition)
        reader = OrderedReader(self._js, self._stream, subject, after=after, heard_on=subject)
        async for batch in reader.batches():
            yield [_with_origin(record, partition) for record in batch]

    async def newest(self, partition: int) -> int:
        """Return the sequence of a partition's newest input, 0 if none is stored."""
        record = await self._js.last(self._stream, self._names.inbox(partition))
        return record.seq if record is not None else 0

    async def purge(self, partition: int, upto: int) -> None:
        """Forget a partition's inputs up to and including a sequence."""
        if upto > 0:
            await self._js.insist(
                f"STREAM.PURGE.{self._stream}",
                {"filter": self._names.inbox(partition), "seq": upto + 1},
            )


def _with_origin(record: Record, partition: int) -> Record:
    """The subject tells who wrote an input, because the server decides who may publish where."""
    external = record.subject.endswith(f".{_EXTERNAL}")
    return msgspec.structs.replace(record, partition=partition, external=external)
