"""The records of the tenants: what there is, changed by compare-and-set."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.core.ids import is_valid_id
from flunq.core.tenancy import TenantRecord
from flunq.errors import ConflictError, NotFoundError, UsageError
from flunq.log.ports import RevisionConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.log.ports import KeyValue

log = logging.getLogger(__name__)

LONGEST_NAME = 64
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TenantRecord).decode


class TenantRecords:
    """The bucket of the tenants."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._reading = asyncio.Lock()
        self._known: dict[str, TenantRecord] = {}
        self._stamp, self._revision = "", 0

    async def all(self) -> list[TenantRecord]:
        """Return every tenant, by name; only those that changed since the last time are read."""
        async with self._reading:
            stamp = await self._bucket.stamp()
            if stamp != self._stamp:
                await self._read_changes()
                self._stamp = stamp
            return [self._known[name] for name in sorted(self._known)]

    async def _read_changes(self) -> None:
        for entry in await self._bucket.since(self._revision):
            self._known[entry.key] = _decoded(entry.key, entry.value)
            self._revision = entry.revision
        for gone in self._known.keys() - set(await self._bucket.keys()):
            del self._known[gone]

    async def find(self, name: str) -> TenantRecord | None:
        """Return a tenant, if there is one."""
        return (await self._read(name))[0]

    async def get(self, name: str) -> TenantRecord:
        """Return a tenant; raises NotFoundError."""
        found = await self.find(name)
        if found is None:
            raise no_tenant(name)
        return found

    async def add(self, record: TenantRecord) -> TenantRecord:
        """Store a new record, or return the one that is there already."""
        try:
            await self._bucket.swap(record.name, _encode(record), revision=0)
        except RevisionConflictError:
            return await self.get(record.name)
        return record

    async def change(
        self, name: str, change: Callable[[TenantRecord], TenantRecord]
    ) -> TenantRecord:
        """Replace a record by what ``change`` makes of it; again if somebody else was faster."""
        while True:
            record, revision = await self._read(name)
            if record is None:
                raise no_tenant(name)
            new = change(record)
            if new == record:
                return record
            try:
                await self._bucket.swap(name, _encode(new), revision=revision)
            except RevisionConflictError:
                continue
            return new

    async def remove(self, name: str) -> None:
        """Forget a record."""
        await self._bucket.delete(name)

    async def _read(self, name: str) -> tuple[TenantRecord | None, int]:
        entry = await self._bucket.get(name)
        if entry is None:
            return None, 0
        return _decoded(name, entry.value), entry.revision


def _decoded(name: str, value: bytes) -> TenantRecord:
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        log.error("the record of tenant %s is not readable: %s", name, error)
        raise ConflictError(f"the record of tenant {name} is damaged") from error


def check_name(name: str) -> str:
    """Return the name of a tenant; raises UsageError for what cannot be one."""
    if not is_valid_id(name) or len(name) > LONGEST_NAME or name.strip(".") == "":
        raise UsageError(
            f"{name!r} cannot name a tenant",
            hint=f"use 1 to {LONGEST_NAME} letters, digits, '_', '.' or '-'",
        )
    return name


def no_tenant(name: str) -> NotFoundError:
    """Return the error for a tenant that does not exist."""
    return NotFoundError(f"there is no tenant {name}", hint="flunq tenants list")
