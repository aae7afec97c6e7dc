"""Key-value buckets: the newest message of a subject is the value, its sequence the revision."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flunq.log.nats.names import key_to_subject, subject_to_key
from flunq.log.nats.scouring import fill_block
from flunq.log.nats.streams import bucket_stream
from flunq.log.ports import Entry, RevisionConflictError, SequenceConflictError

if TYPE_CHECKING:
    from flunq.log.nats.jetstream import JetStream

_FILLER = "~scouring"
"""No key becomes a subject with a tilde in it."""


class NatsKeyValue:
    """One bucket, readable by other tools as a JetStream key-value bucket."""

    def __init__(self, js: JetStream, bucket: str) -> None:
        self._js = js
        self._stream = bucket_stream(bucket)
        self._prefix = f"$KV.{bucket}."
        self._filler = f"{self._prefix}{_FILLER}"

    async def get(self, key: str) -> Entry | None:
        """Return the newest value, read from the leader."""
        record = await self._js.last(self._stream, self._prefix + key_to_subject(key))
        if record is None or "KV-Operation" in record.headers:
            return None
        return Entry(key, record.data, record.seq)

    async def put(self, key: str, value: bytes) -> int:
        """Store unconditionally; return the revision."""
        return await self._js.publish(self._prefix + key_to_subject(key), value)

    async def swap(self, key: str, value: bytes, *, revision: int) -> int:
        """Store if the key's revision is still ``revision`` (0: the key must not exist)."""
        header = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n\r\n" % revision
        try:
            return await self._js.publish(self._prefix + key_to_subject(key), value, header)
        except SequenceConflictError as conflict:
            raise RevisionConflictError(str(conflict)) from None

    async def delete(self, key: str) -> None:
        """Remove a key without leaving a marker; unknown ones are ignored."""
        await self._js.insist(
            f"STREAM.PURGE.{self._stream}", {"filter": self._prefix + key_to_subject(key)}
        )

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that start with ``prefix``; whole parts of it narrow the search."""
        whole, _, _ = prefix.rpartition("/")
        pattern = f"{self._prefix}{key_to_subject(whole)}.>" if whole else f"{self._prefix}>"
        keys = (
            subject_to_key(subject[len(self._prefix) :])
            for subject in await subjects(self._js, self._stream, pattern)
            if not subject.startswith(self._filler)
        )
        return sorted(key for key in keys if key.startswith(prefix))

    async def since(self, revision: int) -> list[Entry]:
        """Return what was put after a revision and is still there, oldest first."""
        found: list[Entry] = []
        while record := await self._js.next(self._stream, f"{self._prefix}>", after=revision):
            revision = record.seq
            if "KV-Operation" not in record.headers and not record.subject.startswith(self._filler):
                key = subject_to_key(record.subject[len(self._prefix) :])
                found.append(Entry(key, record.data, record.seq))
        return found

    async def stamp(self) -> str:
        """Return what is another text after every change: puts count up, deletions down."""
        info = await self._js.insist(f"STREAM.INFO.{self._stream}")
        return f"{info['created']} {info['state']['last_seq']} {info['state']['messages']}"

    async def scour(self) -> None:
        """Write every key anew beyond a filled-up file, so that the older files are empty."""
        try:
            first = await fill_block(self._js, self._filler)
            for key in await self.keys():
                entry = await self.get(key)
                if entry is None or entry.revision >= first:
                    continue
                with suppress(RevisionConflictError):  # somebody wrote it: that is as good
                    await self.swap(key, entry.value, revision=entry.revision)
        finally:
            await self._js.insist(f"STREAM.PURGE.{self._stream}", {"filter": f"{self._filler}.*"})


async def subjects(js: JetStream, stream: str, pattern: str) -> dict[str, int]:
    """Return all subjects of a stream under a pattern, page by page, with message counts."""
    found: dict[str, int] = {}
    while True:
        request: dict[str, Any] = {"subjects_filter": pattern, "offset": len(found)}
        info = await js.insist(f"STREAM.INFO.{stream}", request)
        page: dict[str, int] = info["state"].get("subjects") or {}
        found |= page
        if not page or len(found) >= info.get("total", 0):
            return found
