"""Who did what: noted at once, written soon and in batches, so that nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from flunq.core.access import AuditEntry
from flunq.errors import FlunqError
from flunq.log.ports import OutcomeUnknownError, StoreFullError, TransportLostError
from flunq.telemetry.metrics import registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flunq.log.ports import AuditTrail
    from flunq.services.identity.principal import Principal

    Trails = Callable[[str], Awaitable[AuditTrail]]

_log = logging.getLogger(__name__)

MOST_WAITING = 20_000
BATCH = 512
MOST_BATCHES = 64
LONGEST = 512
"""Characters of one member."""
PAUSE = 0.2
"""Seconds after a write in which the next batch fills."""
_RETRY = 1.0
_PATIENCE = 3.0
_OLDEST = 600.0
"""Seconds after which a batch is given up; its tenant may be gone."""
LOST = "audit.lost"
_encode = msgspec.json.Encoder().encode


class Audit:
    """Takes entries without waiting; :meth:`run` writes them to the trail of their tenant."""

    def __init__(self, trails: Trails, *, clock: Callable[[], float], node: str = "") -> None:
        self._trails = trails
        self._clock = clock
        self._node = node
        self._waiting: deque[AuditEntry] = deque()
        self._batches: deque[_Batch] = deque()
        self._lost: dict[str, int] = {}
        self._some = asyncio.Event()
        self._entries = registry.counter(
            "flunq_audit_entries_total", "Operations that were noted for the audit."
        )
        self._dropped = registry.counter(
            "flunq_audit_lost_total", "Operations that could not be noted: too many were waiting."
        )

    def record(
        self,
        principal: Principal,
        operation: str,
        target: str,
        result: str,
        remote: str,
        *,
        tenant: str | None = None,
    ) -> None:
        """Note an operation of the API; ``tenant`` is where, unless it is the principal's own."""
        self.note(
            AuditEntry(
                time=self._clock(),
                who=principal.name,
                token=principal.token_id,
                role=principal.role,
                tenant=tenant or principal.tenant,
                what=operation,
                target=target,
                result=result,
                source=remote,
                via="api",
            )
        )

    def note(self, entry: AuditEntry) -> None:
        """Note an operation; with too many waiting it is counted as lost."""
        if len(self._waiting) >= MOST_WAITING:
            self._lost[entry.tenant] = self._lost.get(entry.tenant, 0) + 1
            self._dropped.inc()
            return
        self._entries.inc()
        self._waiting.append(_clipped(entry))
        self._some.set()

    async def run(self) -> None:
        """Write what is noted until cancelled; what is left then is still written."""
        try:
            while True:
                await self._some.wait()
                self._some.clear()
                self._make_batches()
                if not await self._write_batches():
                    await asyncio.sleep(_RETRY)
                elif len(self._waiting) < BATCH:
                    await asyncio.sleep(PAUSE)
        finally:
            await self._write_rest()

    async def flush(self) -> bool:
        """Write what is noted by now; tell whether all of it was."""
        self._make_batches()
        return await self._write_batches()

    async def _write_rest(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                done = await self.flush()
        except TimeoutError:
            done = False
        if not done:
            count = sum(batch.count for batch in self._batches)
            _log.error("%d operations are missing in the audit", count)

    def _make_batches(self) -> None:
        self._confess()
        while self._waiting and len(self._batches) < MOST_BATCHES:
            some = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            some.sort(key=_tenant_of)
            for tenant, entries in groupby(some, key=_tenant_of):
                self._batches.append(_Batch(tenant, list(entries)))

    def _confess(self) -> None:
        """Say how many entries are missing, in their place."""
        lost, self._lost = self._lost, {}
        for tenant, count in lost.items():
            _log.error("%d operations are missing in the audit of %s", count, tenant)
            entry = AuditEntry(
                time=self._clock(),
                who="flunq",
                tenant=tenant,
                what=LOST,
                target=str(count),
                source=self._node,
            )
            self._waiting.append(entry)

    async def _write_batches(self) -> bool:
        """Write each batch; those that could not be written are kept, up to an age."""
        for batch in list(self._batches):
            if await self._write(batch):
                self._batches.remove(batch)
            elif self._clock() - batch.oldest > _OLDEST:
                _log.error("%d operations of %s cannot be written", batch.count, batch.tenant)
                self._dropped.inc(batch.count)
                self._batches.remove(batch)
        if self._batches or self._waiting:
            self._some.set()
        return not self._batches

    async def _write(self, batch: _Batch) -> bool:
        try:
            trail = await self._trails(batch.tenant)
            await trail.publish(batch.body, message_id=batch.key)
        except (OutcomeUnknownError, StoreFullError, TransportLostError, FlunqError) as error:
            _log.warning("the audit of %s cannot be written now: %s", batch.tenant, error)
            return False
        return True


class _Batch:
    """Entries of one tenant that are written together; a repeat has the same key."""

    def __init__(self, tenant: str, entries: list[AuditEntry]) -> None:
        self.tenant = tenant
        self.body = _encode(entries)
        self.key = secrets.token_hex(12)
        self.count = len(entries)
        self.oldest = entries[0].time


def _tenant_of(entry: AuditEntry) -> str:
    return entry.tenant


def _clipped(entry: AuditEntry) -> AuditEntry:
    if max(len(entry.target), len(entry.source), len(entry.what), len(entry.result)) <= LONGEST:
        return entry
    return msgspec.structs.replace(
        entry,
        target=entry.target[:LONGEST],
        source=entry.source[:LONGEST],
        what=entry.what[:LONGEST],
        result=entry.result[:LONGEST],
    )
