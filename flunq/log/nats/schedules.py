"""Wake-ups that the server keeps: one scheduled message per partition and bucket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flunq.log.nats.jetstream import header_block
from flunq.log.nats.readers import OrderedReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NatsSchedules:
    """Message schedules; the due message lands in the same stream, on the wake subject."""

    def __init__(self, js: JetStream, names: Names) -> None:
        self._js = js
        self._names = names
        self._stream = names.schedules_stream

    async def wake_at(self, partition: int, bucket: str, due: int) -> None:
        """Send one wake-up for (partition, bucket) at ``due`` microseconds; replaces an older."""
        moment = _EPOCH + timedelta(microseconds=due)
        headers = {
            "Nats-Schedule": f"@at {moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z",
            "Nats-Schedule-Target": self._names.wake(partition),
        }
        subject = self._names.schedule(partition, bucket)
        await self._js.publish(subject, bucket.encode(), header_block(headers))

    async def cancel(self, partition: int, bucket: str) -> None:
        """Withdraw a wake-up; unknown ones are ignored."""
        await self._js.insist(
            f"STREAM.PURGE.{self._stream}", {"filter": self._names.schedule(partition, bucket)}
        )

    async def wakes(self, partition: int) -> AsyncIterator[str]:
        """Yield the buckets of a partition's wake-ups as they come due, for ever.

        A wake-up is forgotten when the next one is asked for, so that a crash repeats it.
        """
        subject = self._names.wake(partition)
        reader = OrderedReader(self._js, self._stream, subject, after=0)
        async for batch in reader.batches():
            for record in batch:
                yield record.data.decode()
            await self._js.insist(
                f"STREAM.PURGE.{self._stream}", {"filter": subject, "seq": batch[-1].seq + 1}
            )
