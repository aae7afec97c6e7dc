"""The journal: one literal subject per partition, every write with the sequence it expects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from flunq.log.nats.jetstream import header_block
from flunq.log.nats.names import partition_of_subject
from flunq.log.nats.packing import pack, unpack
from flunq.log.nats.readers import OrderedReader
from flunq.log.ports import Extent, Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.nats.jetstream import JetStream
    from flunq.log.nats.names import Names

_PAGE = 256
_PAGE_BYTES = 16 * 1024 * 1024
_CATCH_UP_PAUSE = 0.05


class NatsJournal:
    """The append-only truth in a JetStream stream."""

    def __init__(self, js: JetStream, names: Names) -> None:
        self._js = js
        self._names = names
        self._stream = names.journal_stream
        self._subjects: dict[int, str] = {}

    async def append(
        self, partition: int, data: bytes, *, expected: int, headers: dict[str, str]
    ) -> int:
        """Store ``data`` if the partition's last sequence is ``expected``."""
        block = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n%b" % (
            expected,
            header_block(headers)[10:],
        )
        return await self._js.publish(self._subject(partition), pack(data), block)

    async def last(self, partition: int) -> Record | None:
        """Return the partition's newest record, read from the leader."""
        record = await self._js.last(self._stream, self._subject(partition))
        return record and _unpacked(record)

    async def read(self, partition: int, *, after: int, upto: int) -> AsyncIterator[Record]:
        """Yield the partition's records with ``after < seq <= upto`` in order.

        A replica that answers a page may be behind; the leader says how far to read.
        """
        newest = await self.last(partition)
        target = min(upto, newest.seq if newest else 0)
        while after < target:
            page = await self._page(partition, after)
            for record in page:
                after = record.seq
                if after > upto:
                    return
                yield _unpacked(record)
            if not page:
                await asyncio.sleep(_CATCH_UP_PAUSE)

    async def follow(self, *, after: int | None) -> AsyncIterator[Record]:
        """Yield records of all partitions after ``after`` (None: only new ones), for ever."""
        subject = self._names.journals
        reader = OrderedReader(self._js, self._stream, subject, after=after, heard_on=subject)
        async for batch in reader.batches():
            for record in batch:
                yield _unpacked(record)

    async def partitions(self) -> dict[int, int]:
        """Return how many records each partition that was ever written to has."""
        info = await self._js.insist(
            f"STREAM.INFO.{self._stream}", {"subjects_filter": self._names.journals}
        )
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        return {partition_of_subject(subject): count for subject, count in subjects.items()}

    async def trim(self, upto: int) -> None:
        """Forget records up to a sequence, but never a partition's last.

        A partition's last sequence only grows, so one that is read before the purge is safe.
        """
        newest = await asyncio.gather(*(self.last(p) for p in await self.partitions()))
        safe = min([upto, *(record.seq - 1 for record in newest if record)])
        if safe > 0:
            await self._js.insist(f"STREAM.PURGE.{self._stream}", {"seq": safe + 1})

    async def first_seq(self) -> int:
        """Return the first sequence that is still stored."""
        info = await self._js.insist(f"STREAM.INFO.{self._stream}")
        return max(1, int(info["state"]["first_seq"]))

    async def extent(self) -> Extent:
        """Return what is stored, and the time of creation."""
        info = await self._js.insist(f"STREAM.INFO.{self._stream}")
        state = info["state"]
        return Extent(
            max(1, int(state["first_seq"])),
            int(state["last_seq"]),
            int(state["bytes"]),
            str(info["created"]),
        )

    def _subject(self, partition: int) -> str:
        subject = self._subjects.get(partition)
        if subject is None:
            subject = self._subjects[partition] = self._names.journal(partition)
        return subject

    async def _page(self, partition: int, after: int) -> list[Record]:
        request = {
            "seq": after + 1,
            "next_by_subj": self._subject(partition),
            "batch": _PAGE,
            "max_bytes": _PAGE_BYTES,
        }
        return await self._js.page(self._stream, request)


def _unpacked(record: Record) -> Record:
    """Undo what :meth:`NatsJournal.append` did; a reader that is slow has one of them unpacked."""
    data = unpack(record.data)
    return record if data is record.data else msgspec.structs.replace(record, data=data)
