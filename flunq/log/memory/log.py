"""One stream in memory: records in order, by subject, with waiters."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from flunq.core.capacity import StreamUse
from flunq.log.ports import Record, SequenceConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEDUPLICATION_WINDOW = 120_000_000
_seq_of = attrgetter("seq")


class Signal:
    """Wakes everybody who waits, once per notification."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], None] = {}

    def notify(self) -> None:
        """Wake all current waiters."""
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, *, until: float | None = None) -> bool:
        """Wait for the next notification, or until the loop's clock says ``until``."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters[waiter] = None
        handle = None if until is None else loop.call_at(until, _expire, waiter)
        try:
            await waiter
        except TimeoutError:
            return False
        finally:
            self._waiters.pop(waiter, None)
            if handle is not None:
                handle.cancel()
        return True


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class MemoryLog:
    """Append-only records with one sequence for all subjects; ``created`` tells two lives apart."""

    def __init__(self, *, created: str, now: Callable[[], int]) -> None:
        self.created = created
        self.first_seq = 1
        self.last_seq = 0
        self._now = now
        self._records: list[Record] = []
        self._subjects: dict[str, list[Record]] = {}
        self._ids: dict[str, tuple[int, int]] = {}
        self._changed = Signal()
        self._subject_changed: dict[str, Signal] = {}

    def append(
        self,
        subject: str,
        data: bytes,
        *,
        partition: int = -1,
        headers: Mapping[str, str] | None = None,
        expected: int | None = None,
        message_id: str = "",
        external: bool = False,
    ) -> int:
        """Store a record; ``expected`` is the subject's last sequence, checked before."""
        last = self.last(subject)
        if expected is not None and (last.seq if last else 0) != expected:
            found = last.seq if last else 0
            raise SequenceConflictError(f"{subject} is at {found}, not at {expected}")
        if message_id and (known := self._known(message_id)):
            return known
        self.last_seq += 1
        record = Record(
            seq=self.last_seq,
            data=data,
            partition=partition,
            headers=dict(headers) if headers else {},
            subject=subject,
            time=self._now() / 1_000_000,
            external=external,
        )
        self._records.append(record)
        self._subjects.setdefault(subject, []).append(record)
        if message_id:
            self._ids[message_id] = (record.seq, self._now())
        self._wake(subject)
        return record.seq

    def use(self, name: str, kind: str) -> StreamUse:
        """Say how full it is."""
        records = self._records
        return StreamUse(
            name=name,
            kind=kind,
            messages=len(records),
            bytes=self.size(),
            subjects=len({record.subject for record in records}),
            first_at=round(records[0].time * 1_000_000) if records else None,
            last_at=round(records[-1].time * 1_000_000) if records else None,
        )

    def size(self) -> int:
        """Return the bytes of what is stored."""
        return sum(len(record.data) for record in self._records)

    def last(self, subject: str) -> Record | None:
        """Return a subject's newest record."""
        records = self._subjects.get(subject)
        return records[-1] if records else None

    def read(self, subject: str, after: int, limit: int) -> list[Record]:
        """Return a subject's records after a sequence."""
        records = self._subjects.get(subject, [])
        start = bisect_right(records, after, key=_seq_of)
        return records[start : start + limit]

    def read_all(self, after: int, limit: int) -> list[Record]:
        """Return the records of all subjects after a sequence."""
        start = bisect_right(self._records, after, key=_seq_of)
        return self._records[start : start + limit]

    def subjects(self) -> dict[str, int]:
        """Return how many records each subject has."""
        return {subject: len(records) for subject, records in self._subjects.items()}

    def purge(self, upto: int, subject: str | None = None) -> None:
        """Forget records up to a sequence, of one subject or of all."""
        names = list(self._subjects) if subject is None else [subject]
        gone = {record.seq for name in names for record in self._purge_subject(name, upto)}
        if gone:
            self._records = [record for record in self._records if record.seq not in gone]
        self.first_seq = self._records[0].seq if self._records else self.last_seq + 1

    def drop(self, seq: int) -> bool:
        """Forget one record; tell whether it was there."""
        found = next((record for record in self._records if record.seq == seq), None)
        if found is None:
            return False
        self._records.remove(found)
        self._subjects[found.subject].remove(found)
        return True

    def _purge_subject(self, subject: str, upto: int) -> list[Record]:
        records = self._subjects.get(subject, [])
        cut = bisect_right(records, upto, key=_seq_of)
        if cut == len(records):
            self._subjects.pop(subject, None)
        else:
            self._subjects[subject] = records[cut:]
        return records[:cut]

    async def wait(self, subject: str | None = None) -> None:
        """Wait for the next change of a subject, or of any."""
        if subject is None:
            await self._changed.wait()
        else:
            await self._subject_changed.setdefault(subject, Signal()).wait()

    def notify_all(self) -> None:
        """Wake every reader, so that it looks again at what it reads."""
        self._changed.notify()
        for signal in self._subject_changed.values():
            signal.notify()

    def _wake(self, subject: str) -> None:
        self._changed.notify()
        if signal := self._subject_changed.get(subject):
            signal.notify()

    def _known(self, message_id: str) -> int | None:
        horizon = self._now() - DEDUPLICATION_WINDOW
        while self._ids:
            oldest = next(iter(self._ids))
            if self._ids[oldest][1] >= horizon:
                break
            del self._ids[oldest]
        return self._ids[message_id][0] if message_id in self._ids else None
