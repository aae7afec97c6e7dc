"""Packs: hundreds of executions per stored value, and the checkpoint record that lists them.

A pack is written once and never changed. Its index (ids, status, next timer) lies beside it, so
that a new owner reads the small indexes and only those packs it needs. The checkpoint record is
written last, by compare-and-set, and never replaces a newer one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.ids import token
from flunq.log.ports import Blobs, KeyValue, OutcomeUnknownError, RevisionConflictError
from flunq.services.worker.executions import Mark, Packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

log = logging.getLogger(__name__)

PACK_BYTES = 512 * 1024
CACHED_PACKS = 16
AHEAD = 16
"""Indexes asked for at a time: each answer waits for the turn of a busy node's loop."""


class Checkpoint(msgspec.Struct, kw_only=True):
    """Everything a new owner needs besides the journal's tail."""

    epoch: int = 0
    seq: int = 0
    """Journal sequence up to which every event is in a pack or in an older state of a pack."""
    number: int = 0
    inbox: dict[str, Any] | None = None
    bus: dict[str, Any] | None = None
    released_through: int = 0
    packs: list[int] = []
    sizes: list[int] = []
    """Bytes of each pack."""
    deleted: dict[str, int] = {}
    """Deleted executions: what packs up to this number hold of them does not count any more."""
    buried: dict[str, int] = {}
    """The requests that started deleted executions, and when those were deleted."""
    groups: dict[str, str] = {}
    """The executions that collect starts, by group."""
    joined: dict[str, tuple[str, str]] = {}
    """The starts that have joined one of late: which, and the fingerprint of their input."""
    blob: str = ""
    """Where the whole record lies when it is too large for a message."""


class StaleCheckpointError(Exception):
    """A newer checkpoint exists: this owner is no longer the owner."""


class Packs:
    """The packs of one partition."""

    def __init__(self, state: KeyValue, blobs: Blobs, tenant: str, partition: int) -> None:
        self._state = state
        self._blobs = blobs
        self._prefix = f"{token(tenant)}.{partition}"
        self._revision = 0
        self._turn = False
        self._cache: OrderedDict[int, dict[str, Packed]] = OrderedDict()

    async def load_checkpoint(self) -> Checkpoint:
        """Read the newest checkpoint record, or an empty one."""
        entry = await self._state.get(f"{self._prefix}.checkpoint")
        if entry is None:
            self._revision = 0
            return Checkpoint()
        self._revision = entry.revision
        found = msgspec.msgpack.decode(entry.value, type=Checkpoint)
        if not found.blob:
            return found
        body = await self._blobs.get(found.blob)
        if body is None:
            raise StaleCheckpointError(f"{found.blob} is gone")
        return msgspec.msgpack.decode(body, type=Checkpoint)

    async def claim_checkpoint(self, epoch: int, newest: int) -> Checkpoint:
        """Sign the newest checkpoint record as the owner of ``epoch`` and return it.

        From then on no earlier owner can write one, nor discard the packs that this one lists.
        ``newest`` is where the journal ended: a record that claims more has outlived what it
        speaks of, and would hide the commits to come from the next owner.
        """
        while True:
            found = await self.load_checkpoint()
            if found.epoch > epoch:
                raise StaleCheckpointError(self._prefix)
            if found.epoch == epoch and found.seq <= newest:
                return found
            if found.seq > newest:
                log.error("%s: the journal ends at %d, before %d", self._prefix, newest, found.seq)
                found.seq = newest
                found.released_through = min(found.released_through, newest)
            found.epoch = epoch
            value = await self._encoded(found)
            key = f"{self._prefix}.checkpoint"
            try:
                self._revision = await self._state.swap(key, value, revision=self._revision)
            except (RevisionConflictError, OutcomeUnknownError):
                continue
            return found

    async def store_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint record; raises StaleCheckpointError if a newer one is there."""
        key = f"{self._prefix}.checkpoint"
        value = await self._encoded(checkpoint)
        while True:
            try:
                self._revision = await self._state.swap(key, value, revision=self._revision)
            except RevisionConflictError:
                newest = await self.load_checkpoint()
                if (newest.epoch, newest.seq) > (checkpoint.epoch, checkpoint.seq):
                    raise StaleCheckpointError(key) from None
            else:
                return

    async def _encoded(self, checkpoint: Checkpoint) -> bytes:
        """Return a record as it is stored: whole, or with the name of the blob that holds it."""
        value = msgspec.msgpack.encode(checkpoint)
        if len(value) <= PACK_BYTES:
            return value
        # Two records take turns, so that the one that counts is never written over.
        self._turn = not self._turn
        key = f"checkpoint-{self._prefix}.{checkpoint.epoch}.{int(self._turn)}"
        await self._blobs.put(key, value)
        return msgspec.msgpack.encode(
            Checkpoint(
                epoch=checkpoint.epoch,
                seq=checkpoint.seq,
                number=checkpoint.number,
                released_through=checkpoint.released_through,
                blob=key,
            )
        )

    async def store(self, number: int, packed: Sequence[Packed], marks: Sequence[Mark]) -> None:
        """Write a pack and its index."""
        body = msgspec.msgpack.encode(packed)
        if len(body) > 2 * PACK_BYTES:
            key = f"pack-{self._prefix}.{number}"
            await self._blobs.put(key, body)
            body = b""
        await self._state.put(f"{self._prefix}.pack.{number}", body)
        await self._state.put(f"{self._prefix}.index.{number}", msgspec.msgpack.encode(marks))

    async def marks(self, number: int) -> list[Mark]:
        """Read a pack's index."""
        entry = await self._state.get(f"{self._prefix}.index.{number}")
        if entry is None:
            raise StaleCheckpointError(f"{self._prefix}.index.{number} is gone")
        return msgspec.msgpack.decode(entry.value, type=list[Mark])

    async def marks_of(self, numbers: Sequence[int]) -> AsyncIterator[tuple[int, list[Mark]]]:
        """Read the indexes of packs in their order, some of them ahead."""
        for begin in range(0, len(numbers), AHEAD):
            some = numbers[begin : begin + AHEAD]
            indexes = await asyncio.gather(*(self.marks(number) for number in some))
            for found in zip(some, indexes, strict=True):
                yield found

    async def load(self, number: int) -> dict[str, Packed]:
        """Read a pack; recently read ones stay in memory."""
        pack = self._cache.get(number)
        if pack is not None:
            self._cache.move_to_end(number)
            return pack
        entry = await self._state.get(f"{self._prefix}.pack.{number}")
        if entry is None:
            # What a checkpoint lists is there, until a later owner writes another checkpoint.
            raise StaleCheckpointError(f"{self._prefix}.pack.{number} is gone")
        body = entry.value or await self._blobs.get(f"pack-{self._prefix}.{number}") or b""
        items = msgspec.msgpack.decode(body, type=list[Packed]) if body else []
        pack = {item.id: item for item in items}
        self._cache[number] = pack
        while len(self._cache) > CACHED_PACKS:
            self._cache.popitem(last=False)
        return pack

    async def discard(self, number: int) -> None:
        """Delete a pack that no checkpoint lists any more."""
        self._cache.pop(number, None)
        await self._state.delete(f"{self._prefix}.pack.{number}")
        await self._state.delete(f"{self._prefix}.index.{number}")
        await self._blobs.delete(f"pack-{self._prefix}.{number}")
