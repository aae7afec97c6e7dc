"""Group commit: while one commit is in flight the next one fills.

A commit is one journal message: a CloudEvents batch that begins with the commit's own event. It
is accepted only if the partition's last sequence is the one this owner knows, so a stale owner
cannot write. Whatever is no clean answer is settled by reading the partition's last message.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from flunq.core.events import COMMIT, join_batch
from flunq.core.execution.effects import Effect
from flunq.log.ports import (
    Journal,
    OutcomeUnknownError,
    SequenceConflictError,
    StoreFullError,
)
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.listeners import BusShare
from flunq.telemetry.catalog import CommitMeter

_encode = msgspec.json.Encoder().encode
CLAIM_BYTES = 400
NONCE_HEADER = "Flunq-Nonce"
EPOCH_HEADER = "Flunq-Epoch"
MAX_COMMIT_BYTES = 768 * 1024
"""Stays below a server's smallest usual ``max_payload`` of 1 MiB with one call's events on top."""
MANY_ENTRIES = 100
"""A commit of so many entries is worth its price; see :meth:`Committer._gather`."""
LONGEST_PAUSE = 0.25
"""Between two tries of a commit: an election among servers takes seconds, this must add little."""


class FencedError(Exception):
    """Another owner wrote to the partition; this one must stop and release nothing."""


class Entry(msgspec.Struct):
    """What one call of ``decide`` adds to a commit; never split."""

    events: list[bytes]
    effects: list[Effect] = []
    outbox: list[dict[str, Any]] = []
    inbox: int | None = None
    share: BusShare | None = None
    settled: Callable[[int], None] | None = None
    """Called with the journal sequence once the commit is acknowledged."""
    claims: list[tuple[str, str, int]] = []
    """Open tasks (execution, task, delivery) that this process takes over from a dead one."""
    blobs: list[tuple[str, bytes]] = []
    """Large values that must be stored before the events that refer to them."""
    padding: int = 0
    """Bytes that the commit is to have for nothing."""
    size: int = 0

    def weight(self) -> int:
        """Return about how many bytes a commit grows by."""
        promised = sum(len(_encode(item)) for item in self.outbox) if self.outbox else 0
        beside = CLAIM_BYTES * len(self.claims) + self.padding + 1
        return sum(map(len, self.events)) + promised + beside


class Consequences(Protocol):
    """What commits say besides their events, and what they let happen."""

    def facts(self, batch: Sequence[Entry], number: int) -> dict[str, Any]:
        """Return what commit ``number`` records about these entries."""
        ...

    async def store_blobs(self, batch: Sequence[Entry]) -> None:
        """Store what the commit's events refer to."""
        ...

    def follow(self, sequence: int, batch: Sequence[Entry]) -> None:
        """Let the effects of an acknowledged commit happen."""
        ...


class CommitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes, and how its commits are signed."""

    partition: int
    source: str
    tenant: str
    node: str
    epoch: int
    max_bytes: int = MAX_COMMIT_BYTES


class Committer:
    """The single writer of a partition."""

    def __init__(
        self,
        settings: CommitSettings,
        journal: Journal,
        *,
        position: int,
        number: int,
        aftermath: Consequences,
        timestamp: Callable[[], str],
        bring_more: Callable[[], bool],
        turn: asyncio.Semaphore,
    ) -> None:
        self.settings = settings
        self.position = position
        """Journal sequence of the last acknowledged commit."""
        self.number = number
        """How many commits the partition has; readers of the feed see gaps by it."""
        self.commits = 0
        self.full = False
        """The store refuses writes; nothing new should be begun."""
        self.buffered_bytes = 0
        self._journal = journal
        self._aftermath = aftermath
        self._timestamp = timestamp
        self._bring_more = bring_more
        self._turn = turn
        self._entries: deque[Entry] = deque()
        self._wanted = asyncio.Event()
        self._added = 0
        self._acknowledged = 0
        self._barriers: list[tuple[int, asyncio.Future[None]]] = []
        self._nonces = 0
        self._meter = CommitMeter(settings.tenant)
        self._newest_facts: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        """What the last acknowledged commit recorded."""

    @property
    def added(self) -> int:
        """How many entries there ever were."""
        return self._added

    @property
    def acknowledged(self) -> int:
        """How many of them are durable, and their effects released."""
        return self._acknowledged

    @property
    def is_idle(self) -> bool:
        """Whether everything that was added is acknowledged."""
        return self._acknowledged >= self._added

    def add(self, entry: Entry) -> None:
        """Put an entry into the next commit."""
        entry.size = entry.size or entry.weight()
        self._entries.append(entry)
        self.buffered_bytes += entry.size
        self._added += 1
        self._wanted.set()

    async def flushed(self) -> None:
        """Wait until everything added so far is acknowledged."""
        if self.is_idle:
            return
        barrier = asyncio.get_running_loop().create_future()
        self._barriers.append((self._added, barrier))
        await barrier

    async def run(self) -> None:
        """Commit until cancelled or fenced."""
        try:
            while True:
                await self._wanted.wait()
                await self._gather()
                async with self._turn:
                    batch = self._take()
                    if any(entry.blobs for entry in batch):
                        await self._aftermath.store_blobs(batch)
                    crash_point("before-commit")
                    payload, begun = self._payload(batch), time.perf_counter()
                    sequence = await self._append(payload)
                    crash_point("after-commit")
                    events = sum(len(entry.events) for entry in batch)
                    self._meter.note(begun, len(payload), events)
                self._acknowledge(sequence, batch)
        finally:
            for _, barrier in self._barriers:
                if not barrier.done():
                    barrier.set_exception(FencedError("the owner stopped"))
                    barrier.exception()

    async def _gather(self) -> None:
        """Let a commit fill while more is due already.

        What a commit costs besides its entries is work that the late ones would wait for.
        """
        # Other work of the process gets its turn between two slices.
        while len(self._entries) < MANY_ENTRIES and self._bring_more():  # noqa: ASYNC110
            await asyncio.sleep(0)

    def _take(self) -> list[Entry]:
        batch: list[Entry] = []
        size = 0
        while self._entries and (
            not batch or size + self._entries[0].size <= self.settings.max_bytes
        ):
            entry = self._entries.popleft()
            size += entry.size
            batch.append(entry)
        self.buffered_bytes -= size
        if not self._entries:
            self._wanted.clear()
        return batch

    def _payload(self, batch: Sequence[Entry]) -> bytes:
        self.number += 1
        self._newest_facts = self._aftermath.facts(batch, self.number)
        head = self.commit_event(self._newest_facts, COMMIT)
        return join_batch([head, *(event for entry in batch for event in entry.events)])

    def commit_event(self, data: dict[str, Any], type_name: str) -> bytes:
        """Encode the event that describes a commit itself."""
        settings = self.settings
        return msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": f"{settings.tenant}-{settings.partition}:{self.number}",
                "source": settings.source,
                "type": type_name,
                "time": self._timestamp(),
                "datacontenttype": "application/json",
                "tenant": settings.tenant,
                "partition": settings.partition,
                "data": {
                    "number": self.number,
                    "epoch": settings.epoch,
                    "node": settings.node,
                    **data,
                },
            }
        )

    async def _append(self, payload: bytes) -> int:
        self._nonces += 1
        nonce = f"{self.settings.node}:{self.settings.epoch}:{self._nonces}"
        return await append_settled(
            self._journal,
            self.settings.partition,
            payload,
            expected=self.position,
            nonce=nonce,
            epoch=self.settings.epoch,
            refused=self._note_full,
        )

    def _note_full(self) -> None:
        self.full = True

    def _acknowledge(self, sequence: int, batch: Sequence[Entry]) -> None:
        self.full = False
        self.position = sequence
        self.facts = self._newest_facts
        self.commits += 1
        self._acknowledged += len(batch)
        self._aftermath.follow(sequence, batch)
        if self._barriers:
            due = [b for b in self._barriers if b[0] <= self._acknowledged]
            self._barriers = [b for b in self._barriers if b[0] > self._acknowledged]
            for _, barrier in due:
                if not barrier.done():
                    barrier.set_result(None)


async def append_settled(
    journal: Journal,
    partition: int,
    payload: bytes,
    *,
    expected: int,
    nonce: str,
    epoch: int,
    refused: Callable[[], None] = lambda: None,
) -> int:
    """Append until the outcome is known: the sequence, or FencedError.

    After an unknown outcome the leader's last message tells: mine, not there (send the same
    again: a late first copy makes the repeat conflict, and the next look finds it), or
    somebody else's.
    """
    headers = {NONCE_HEADER: nonce, EPOCH_HEADER: str(epoch)}
    delay = 0.02
    while True:
        try:
            return await journal.append(partition, payload, expected=expected, headers=headers)
        except (SequenceConflictError, OutcomeUnknownError):
            found = await _look(journal, partition)
        except StoreFullError:
            refused()
            found = None
        if found is not None:
            sequence, writer = found
            if writer == nonce:
                return sequence
            if sequence != expected:
                raise FencedError(f"partition {partition} was written by {writer or 'another'}")
        # Jitter only spreads retries; nothing depends on its value.
        await asyncio.sleep(delay * (0.5 + random.random()))  # noqa: S311 - only spreads retries
        delay = min(delay * 2, LONGEST_PAUSE)


async def _look(journal: Journal, partition: int) -> tuple[int, str] | None:
    """Return sequence and writer of the partition's last message; None when nobody answers."""
    try:
        last = await journal.last(partition)
    except OutcomeUnknownError:
        return None
    return (0, "") if last is None else (last.seq, last.headers.get(NONCE_HEADER, ""))
