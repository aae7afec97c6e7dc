"""Where one schedule is stored: read once, changed by compare-and-set, read again on a conflict.

Large events lie in the blob store; the record holds references to them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import is_reference, reference_key, reference_to
from flunq.core.scheduling.state import Group, Pending, ScheduleState
from flunq.log.ports import OutcomeUnknownError, RevisionConflictError, StoreFullError

if TYPE_CHECKING:
    from flunq.log.ports import Database

log = logging.getLogger(__name__)

INLINE = 4 * 1024
"""Larger values are stored beside the record."""
CROWDED = 128 * 1024
"""A record beyond this size keeps small values only."""
CROWDED_INLINE = 256
_PREFIX = "schedules"

Transition = Callable[[ScheduleState | None], ScheduleState | None]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ScheduleState).decode


def keys_of(tenant: str) -> str:
    """Return what the keys of a tenant's schedules begin with."""
    return f"{_PREFIX}/{tenant}/"


class Cell:
    """One schedule's record. ``state`` is what is stored, as far as this process knows."""

    def __init__(self, database: Database, tenant: str, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name
        self.state: ScheduleState | None = None
        self._bucket = database.state
        self._blobs = database.blobs
        self._key = f"{keys_of(tenant)}{namespace}/{name}"
        self._revision = 0
        self._known = False
        self._lock = asyncio.Lock()
        self._stored: set[str] = set()

    def doubt(self) -> None:
        """Read again before the next change: somebody else may have written."""
        self._known = False

    async def load(self) -> ScheduleState | None:
        """Return the state, reading it if it is not known."""
        async with self._lock:
            await self._load()
            return self.state

    async def change(self, transition: Transition) -> ScheduleState | None:
        """Store what a transition makes of the state; None removes the record.

        The transition runs again on the newest state whenever somebody else has written, or when
        nobody can say whether the write has happened: it has to recognise what it did before.
        """
        async with self._lock:
            while True:
                try:
                    await self._load()
                    wanted = transition(self.state)
                    if wanted == self.state:
                        return wanted
                    await self._write(wanted)
                except RevisionConflictError:
                    self._known = False
                except (OutcomeUnknownError, StoreFullError) as error:
                    log.warning("%s/%s is not stored: %s", self.namespace, self.name, error)
                    self._known = False
                    await asyncio.sleep(0.1)
                else:
                    return self.state

    async def _load(self) -> None:
        if self._known:
            return
        entry = await self._bucket.get(self._key)
        self.state = None if entry is None else await self._full(_decode(entry.value))
        self._revision = 0 if entry is None else entry.revision
        self._known = True

    async def _write(self, wanted: ScheduleState | None) -> None:
        if wanted is not None:
            body = await self._record(wanted)
            self._revision = await self._bucket.swap(self._key, body, revision=self._revision)
            self.state = wanted
            return
        # A key cannot be removed on a condition; this write tells a keeper that knows less.
        gone = ScheduleState(namespace=self.namespace, name=self.name)
        await self._bucket.swap(self._key, _encode(gone), revision=self._revision)
        self._known = False
        await self._bucket.delete(self._key)

    # -- large values ------------------------------------------------------------------------------

    async def _record(self, state: ScheduleState) -> bytes:
        body = _encode(await self._slim(state, INLINE))
        if len(body) > CROWDED:
            body = _encode(await self._slim(state, CROWDED_INLINE))
        return body

    async def _slim(self, state: ScheduleState, limit: int) -> ScheduleState:
        if not state.groups and not state.pending and state.queued is None:
            return state

        async def put(value: Any) -> Any:
            body = _encode(value)
            if len(body) <= limit or is_reference(value):
                return value
            key, reference = reference_to(body)
            if key not in self._stored:
                await self._blobs.put(key, body)
                self._stored.add(key)
            return reference

        return await _with_values(state, put)

    async def _full(self, state: ScheduleState) -> ScheduleState:
        async def get(value: Any) -> Any:
            if not is_reference(value):
                return value
            body = await self._blobs.get(reference_key(value))
            return value if body is None else msgspec.json.decode(body)

        self._stored.clear()
        return await _with_values(state, get)


async def _with_values(state: ScheduleState, change: Callable[[Any], Any]) -> ScheduleState:
    """Return a state with its events and inputs changed."""

    async def start(pending: Pending) -> Pending:
        return msgspec.structs.replace(pending, input=await change(pending.input))

    async def group(one: Group) -> Group:
        held = [msgspec.structs.replace(each, event=await change(each.event)) for each in one.held]
        return msgspec.structs.replace(one, held=tuple(held))

    return msgspec.structs.replace(
        state,
        pending=tuple([await start(pending) for pending in state.pending]),
        queued=None if state.queued is None else await start(state.queued),
        groups=tuple([await group(one) for one in state.groups]),
    )
