"""Checkpoints: the executions that changed since the last one, in packs, beside the traffic."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from flunq.core.execution.state import State, encode_state
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.executions import (
    STATUS_CODES,
    Finished,
    Live,
    Mark,
    Packed,
    encode_finished,
)
from flunq.services.worker.packs import PACK_BYTES, Checkpoint, Packs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from flunq.services.worker.owner import Owner

SLICE = 50
"""Executions encoded before the partition gets its turn again."""
COURTESY, PAUSE = 1.0, 0.005
"""For so many seconds a checkpoint waits while timers are behind, and looks again after a pause."""
REWRITE_PER_CHECKPOINT = 2
MERGED = 8
"""Small packs of one size that are put together."""
SOON = 30_000_000
"""Executions with a timer due in less (microseconds) stay in memory, so that it is punctual."""
FAR = 600_000_000
"""Executions that wait longer than this leave memory at the first opportunity."""


class _Draft(msgspec.Struct):
    """An execution encoded for a pack; journal positions are known after the barrier."""

    id: str
    seq: int
    body: bytes
    mark: Mark
    fingerprint: str
    ended: bool
    live: Live | None = None
    ends: tuple[int, int] = (0, 0)


class Checkpointer:
    """Writes the checkpoints of one owner."""

    def __init__(
        self,
        owner: Owner,
        packs: Packs,
        checkpoint: Checkpoint,
        epoch: int,
        entries: dict[int, int],
    ) -> None:
        self._owner = owner
        self._packs = packs
        self._checkpoint = checkpoint
        self._epoch = epoch
        self._next = epoch << 24
        self._entries = entries
        """With how many executions each pack was written."""
        sizes = zip(checkpoint.packs, checkpoint.sizes, strict=False)
        self._bytes = dict.fromkeys(checkpoint.packs, PACK_BYTES) | dict(sizes)
        """Of every pack that is stored, oldest first: a checkpoint that failed leaves its own."""
        owner.executions.take_abandoned()  # by the fold; they are not counted below
        self._counts = owner.executions.places.per_pack()
        """For how many of them it still is the place."""
        self._lock = asyncio.Lock()
        self._courteous_until = 0.0

    async def write(self) -> None:
        """Write a checkpoint of everything that is committed now."""
        async with self._lock:
            drafts: list[_Draft] = []
            self._courteous_until = asyncio.get_running_loop().time() + COURTESY
            with ExitStack() as unless_written:
                unless_written.callback(_want_again, drafts)
                await self._write(drafts)
                unless_written.pop_all()

    async def _write(self, drafts: list[_Draft]) -> None:
        owner = self._owner
        committer = owner.committer
        unwanted = set(owner.unwanted)
        position, number, facts = committer.position, committer.number, dict(committer.facts)
        released = owner.outbox.released_through
        # Later deletions come after this position in the journal, like the events before them.
        deleted, buried = dict(owner.executions.deleted), dict(owner.executions.buried)
        groups, joined = dict(owner.executions.groups.open), dict(owner.executions.groups.joined)
        owner.aftermath.journal_bytes = 0
        for pack in owner.executions.take_abandoned():
            self._counts[pack] -= 1
        async for draft in self._drafts():
            drafts.append(draft)  # noqa: PERF401 - the caller needs them if this is interrupted
        # A stored state may hold events of commits still under way: they must be durable first.
        await committer.flushed()
        rewritten, carried = await self._rewrite({draft.id for draft in drafts})
        new = [await self._store(group) for group in _groups([*drafts, *carried])]
        # Also new ones that nobody needs any more: who was deleted meanwhile was there before.
        packs = [n for n in self._in_use() if n not in (*rewritten, *new)] + new
        dropped = self._bytes.keys() - packs
        oldest = min(packs, default=self._next + 1)
        for execution, pack in list(deleted.items()):
            if pack < oldest:
                del deleted[execution]
                if owner.executions.deleted.get(execution) == pack:
                    del owner.executions.deleted[execution]
        self._checkpoint = Checkpoint(
            epoch=self._epoch,
            seq=position,
            number=number,
            inbox=facts.get("inbox", self._checkpoint.inbox),
            bus=facts.get("bus", self._checkpoint.bus),
            released_through=released,
            packs=packs,
            sizes=[self._bytes[pack] for pack in packs],
            deleted=deleted,
            buried=buried,
            groups=groups,
            joined=joined,
        )
        crash_point("before-checkpoint")
        await self._packs.store_checkpoint(self._checkpoint)
        crash_point("after-checkpoint")
        for gone in dropped:
            await self._packs.discard(gone)
            del self._bytes[gone], self._entries[gone], self._counts[gone]
        self._let_go(drafts)
        if facts.get("inbox"):
            await owner.context.stream.inbox.purge(owner.partition, facts["inbox"]["floor"])
        owner.unwanted -= unwanted
        crash_point("after-purge")

    async def _drafts(self) -> AsyncIterator[_Draft]:
        """Encode what changed, a slice at a time.

        Also what ends or is deleted meanwhile: that is in the journal after the checkpoint, but
        what happened to it before is not.
        """
        executions = self._owner.executions
        ended, open_ones = list(executions.finished.values()), list(executions.live.values())
        for turn, found in enumerate(ended, 1):
            yield _draft_finished(*found)
            if turn % SLICE == 0:
                await self._give_way()
        for turn, live in enumerate(open_ones, 1):
            if live.dirty and live.state is not None and not live.tainted:
                live.dirty = False
                yield _draft_live(live, live.state)
            if turn % SLICE == 0:
                await self._give_way()

    async def _rewrite(self, fresh: set[str]) -> tuple[list[int], list[_Draft]]:
        """Pick packs that are not worth a pack of their own, and what to carry over from them."""
        packs = self._in_use()
        thin = [n for n in packs if self._counts[n] < self._entries[n] // 4]
        rewritten = thin[:REWRITE_PER_CHECKPOINT] or small_packs(
            [(n, self._bytes[n]) for n in packs]
        )
        rewritten += [n for n in await self._with_unwanted() if n not in rewritten]
        carried: list[_Draft] = []
        places = self._owner.executions.places
        for number in rewritten:
            marks = {mark.id: mark for mark in await self._packs.marks(number)}
            for item in (await self._packs.load(number)).values():
                place = places.get(item.id)
                if place is not None and place.pack == number and item.id not in fresh:
                    carried.append(_draft_again(item, marks[item.id]))
        return rewritten, carried

    def _in_use(self) -> list[int]:
        """Return the packs that are the place of some execution."""
        return [number for number in self._bytes if self._counts[number]]

    async def _with_unwanted(self) -> list[int]:
        """Return the packs that hold something, however old, of executions to be scrubbed."""
        unwanted = self._owner.unwanted
        if not unwanted:
            return []
        return [
            number
            for number in self._in_use()
            if any(mark.id in unwanted for mark in await self._packs.marks(number))
        ]

    async def _store(self, drafts: list[_Draft]) -> int:
        self._next += 1
        number = self._next
        executions = self._owner.executions
        packed = [_packed(draft) for draft in drafts]
        await self._packs.store(number, packed, [draft.mark for draft in drafts])
        self._bytes[number] = sum(len(draft.body) for draft in drafts)
        self._entries[number] = len(drafts)
        self._counts[number] = 0
        for start in range(0, len(drafts), SLICE):
            placed = [
                draft.mark.place(number)
                for draft in drafts[start : start + SLICE]
                if self._is_wanted(draft, number)
            ]
            executions.places.put(placed)
            self._counts[number] += len(placed)
            await self._give_way()
        return number

    def _is_wanted(self, draft: _Draft, number: int) -> bool:
        executions = self._owner.executions
        old = executions.places.get(draft.id)
        if old is not None:
            self._counts[old.pack] -= 1
        elif not executions.is_in_memory(draft.id):
            executions.deleted[draft.id] = number  # it was deleted meanwhile
            return False
        return True

    async def _give_way(self) -> None:
        """Let other work go first: timers that are due do not wait for what may wait."""
        await asyncio.sleep(0)
        now = asyncio.get_running_loop().time
        while (  # noqa: ASYNC110 - nothing tells when they have caught up
            self._owner.timers.is_behind() and now() < self._courteous_until
        ):
            await asyncio.sleep(PAUSE)

    def _let_go(self, drafts: list[_Draft]) -> None:
        """Forget in memory what lies in a pack and has nothing to do soon."""
        owner = self._owner
        settings = owner.context.settings
        idle_since = asyncio.get_running_loop().time() - settings.hibernate_seconds
        now = owner.context.clock.now()
        for draft in drafts:
            found = owner.executions.finished.get(draft.id) if draft.ended else None
            if found is not None and found[0].seq == draft.seq:
                del owner.executions.finished[draft.id]
        for live in list(owner.executions.live.values()):
            if live.state is not None and _is_settled(live) and _may_sleep(live, idle_since, now):
                owner.sleepers.let_sleep(live.state)


def _want_again(drafts: list[_Draft]) -> None:
    for draft in drafts:
        if draft.live is not None:
            draft.live.dirty = True


def _may_sleep(live: Live, idle_since: float, now: int) -> bool:
    """Tell whether nothing is expected soon: a timer, or another input like the last one."""
    assert live.state is not None
    state = live.state
    due = min(state.timers.values(), default=None)
    if due is not None and due < now + SOON:
        return False
    if live.touched <= idle_since:
        return True
    return due is not None and due > now + FAR and not state.listeners


def _is_settled(live: Live) -> bool:
    """Tell whether the stored state is all there is of an execution."""
    state = live.state
    return (
        state is not None
        and not live.dirty
        and not live.evaluating
        and not live.tainted
        and not state.tasks
        and not state.has_work
    )


def _draft_finished(finished: Finished, first: int, last: int) -> _Draft:
    return _Draft(
        id=finished.id,
        seq=finished.seq,
        body=encode_finished(finished),
        mark=Mark(
            finished.id,
            STATUS_CODES.index(finished.status),
            finished.started_at,
            False,
            0,
            str(finished.workflow),
            finished.ended_at,
        ),
        fingerprint=finished.fingerprint,
        ended=True,
        ends=(first, last),
    )


def _draft_live(live: Live, state: State) -> _Draft:
    active = bool(state.tasks or state.listeners) or state.has_work
    due = min(state.timers.values(), default=0)
    mark = Mark(
        state.id,
        STATUS_CODES.index(state.status),
        state.started_at,
        active,
        due,
        str(state.workflow),
    )
    return _Draft(
        id=state.id,
        seq=state.seq,
        body=encode_state(state),
        mark=mark,
        fingerprint=live.fingerprint,
        ended=False,
        live=live,
    )


def _draft_again(item: Packed, mark: Mark) -> _Draft:
    return _Draft(
        id=item.id,
        seq=0,
        body=item.body,
        mark=mark,
        fingerprint=item.fingerprint,
        ended=item.ended,
        ends=(item.first, item.last),
    )


def _packed(draft: _Draft) -> Packed:
    first, last = (draft.live.first, draft.live.last) if draft.live else draft.ends
    return Packed(draft.id, first, last, draft.fingerprint, draft.ended, draft.body)


def small_packs(packs: Sequence[tuple[int, int]]) -> list[int]:
    """Return packs (number, bytes) of about one size that may well become one.

    Only what has a similar size is put together, so that an execution is rewritten a few times
    at most, however long the partition lives.
    """
    tiers: dict[int, list[int]] = {}
    for number, size in packs:
        if size < PACK_BYTES // 2:
            tier = tiers.setdefault(size.bit_length() // 2, [])
            tier.append(number)
            if len(tier) == MERGED:
                return tier
    return []


def _groups(drafts: list[_Draft]) -> Iterator[list[_Draft]]:
    group: list[_Draft] = []
    size = 0
    for draft in drafts:
        if group and size + len(draft.body) > PACK_BYTES:
            yield group
            group, size = [], 0
        group.append(draft)
        size += len(draft.body)
    if group:
        yield group
