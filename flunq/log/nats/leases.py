"""Leases: values in a memory bucket that vanish unless renewed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flunq.log.nats.names import key_to_subject, subject_to_key
from flunq.log.nats.streams import LEASES, bucket_stream, ensure, leases
from flunq.log.ports import NoResponderError, OutcomeUnknownError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.log.nats.jetstream import JetStream
    from flunq.log.ports import Record

_STREAM = bucket_stream(LEASES)
_PREFIX = f"$KV.{LEASES}."
_DELETED = b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"
_PAGE = 1000


class NatsLeases:
    """Who is alive, by the server's clock."""

    def __init__(self, js: JetStream, *, ttl: float, replicas: int) -> None:
        self._js = js
        self._ttl = ttl
        self._replicas = replicas
        self._own: set[str] = set()
        self._known: dict[str, bytes] = {}
        self._doubtful_until = 0.0
        """Until then the server may have lost leases that are still held."""
        js.connection.on_reconnect(self._doubt)

    async def renew(self, name: str, value: bytes) -> None:
        """Create or renew this process's lease."""
        self._own.add(name)
        subject = _PREFIX + key_to_subject(name)
        try:
            await self._js.publish(subject, value)
        except OutcomeUnknownError:
            # A stream in memory does not survive its server; nothing but leases was in it.
            await self._ensure()
            await self._js.publish(subject, value)

    async def release(self, name: str) -> None:
        """Give the lease up at once; the marker tells those who watch."""
        self._own.discard(name)
        await self._js.publish(_PREFIX + key_to_subject(name), b"", _DELETED)

    async def live(self) -> dict[str, bytes]:
        """Return all live leases.

        The server keeps them in memory. After a reconnect those of others that were live before
        count for as long as they may have been meant to: whoever is alive renews in that time.
        """
        records = await self._records()
        found = {_name(record): record.data for record in records if not _is_release(record)}
        if asyncio.get_running_loop().time() < self._doubtful_until:
            gone = {_name(record) for record in records if _is_release(record)} | self._own
            found |= {n: v for n, v in self._known.items() if n not in found and n not in gone}
        self._known = found
        return found

    def _doubt(self) -> None:
        self._doubtful_until = asyncio.get_running_loop().time() + self._ttl

    async def changes(self) -> AsyncIterator[None]:
        """Yield at the start and whenever the set of live leases may have changed."""
        watcher = _Watcher(self._ttl)
        client = self._js.connection.client
        sid = client.attach(f"{_PREFIX}>", watcher.receive)
        forget = self._js.connection.on_reconnect(watcher.changed.set)
        try:
            await self._js.connection.settle()
            watcher.expect(await self._records())
            while True:
                yield
                await watcher.wait()
        finally:
            forget()
            client.detach(sid)

    async def _records(self) -> list[Record]:
        request = {"multi_last": [f"{_PREFIX}>"], "batch": _PAGE}
        try:
            records = await self._js.direct(_STREAM, request)
        except (NoResponderError, RequestTimeoutError):
            # A stream in memory does not survive its server.
            await self._ensure()
            records = await self._js.page(_STREAM, request)
        return records

    async def _ensure(self) -> None:
        self._doubt()
        await ensure(self._js, [leases(self._replicas, self._ttl)])


def _name(record: Record) -> str:
    return subject_to_key(record.subject[len(_PREFIX) :])


def _is_release(record: Record) -> bool:
    return "KV-Operation" in record.headers


class _Watcher:
    """Sees renewals go by, and misses those that stop."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._seen: dict[bytes, tuple[bytes, float]] = {}
        self._look_until = 0.0
        """Until then the set of live leases may still be on its way to what it should be."""
        self.changed = asyncio.Event()

    def expect(self, records: list[Record]) -> None:
        """Note the leases that were live before the watch began."""
        now = asyncio.get_running_loop().time()
        for record in records:
            if not _is_release(record):
                self._seen.setdefault(record.subject.encode(), (record.data, now))

    def receive(self, subject: bytes, _reply: bytes, data: bytes, headers: bytes) -> None:
        """Note a renewal or a release."""
        now = asyncio.get_running_loop().time()
        known = self._seen.get(subject)
        if b"KV-Operation" in headers:
            self._seen.pop(subject, None)
            self.changed.set()
            return
        self._seen[subject] = (data, now)
        if known is None or known[0] != data:
            self.changed.set()

    async def wait(self) -> None:
        """Return when something changed: a lease came, went, or was not renewed in time."""
        loop = asyncio.get_running_loop()
        while not self.changed.is_set():
            oldest = min((seen for _, seen in self._seen.values()), default=None)
            deadline = None if oldest is None else oldest + self._ttl * 1.1
            if loop.time() < self._look_until:
                # The server may remove what has expired a little later than we miss it.
                soon = loop.time() + self._ttl / 4
                deadline = soon if deadline is None else min(deadline, soon)
            try:
                async with asyncio.timeout_at(deadline):
                    await self.changed.wait()
            except TimeoutError:
                self._drop_expired(loop.time())
                if loop.time() < self._look_until:
                    break
        self.changed.clear()

    def _drop_expired(self, now: float) -> None:
        expired = [name for name, (_, seen) in self._seen.items() if seen + self._ttl <= now]
        for name in expired:
            del self._seen[name]
        if expired:
            self._look_until = now + 3 * self._ttl
            self.changed.set()
