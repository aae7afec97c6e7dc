"""Taking a partition over: fence first, then fold what the checkpoint does not hold yet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import REFERENCE
from flunq.core.events import (
    FENCE,
    GONE,
    QUARANTINED,
    CloudEvent,
    join_batch,
    timestamp,
)
from flunq.core.execution.fold import MIGRATED, RESTORING, fold, micros
from flunq.core.execution.state import decode_state
from flunq.core.statuses import ENDED
from flunq.errors import NotFoundError, RejectedError
from flunq.services.worker.claims import check_out
from flunq.services.worker.commit import EPOCH_HEADER, FencedError, append_settled
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.executions import (
    Executions,
    Finished,
    Live,
    Mark,
    Packed,
    decode_finished,
)
from flunq.services.worker.fingerprint import fingerprint
from flunq.services.worker.inbox import InboxPosition
from flunq.services.worker.packs import Checkpoint, Packs
from flunq.services.worker.records import finished_record, quarantined_record, revived

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.log.ports import Record
    from flunq.services.worker.context import WorkerContext

log = logging.getLogger(__name__)

UNASSIGNED = ""
QUEUED = "queue"

_reference_bytes = f'"{REFERENCE}"'.encode()
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_event = msgspec.json.Decoder(CloudEvent).decode


class Head(msgspec.Struct, kw_only=True):
    """The data of a commit's own event."""

    number: int
    epoch: int
    node: str
    inbox: dict[str, Any] | None = None
    bus: dict[str, Any] | None = None
    releasedThrough: int = 0  # noqa: N815 - the name on the wire
    outbox: list[dict[str, Any]] = []
    claims: list[tuple[str, str, int]] = []
    graceful: bool = False


class _HeadEvent(msgspec.Struct):
    type: str
    data: Head


_head = msgspec.json.Decoder(_HeadEvent).decode


def read_head(payload: bytes) -> Head:
    """Return what a commit says of itself."""
    return _head(_split(payload)[0]).data


class Recovered(msgspec.Struct, kw_only=True):
    """A partition as its new owner finds it."""

    epoch: int
    position: int
    number: int
    graceful: bool
    checkpoint: Checkpoint
    executions: Executions
    active: list[str]
    """Executions in packs that an owner loads at once."""
    entries: dict[int, int]
    """How many executions each pack was written with."""
    inbox: InboxPosition
    bus: InboxPosition
    lifecycle: InboxPosition
    released_through: int
    outbox: list[tuple[int, list[dict[str, Any]]]]
    poisoned: dict[str, str]
    """Executions that cannot go on, with the reason: they are set aside."""


class Recovery:
    """One take-over of one partition."""

    def __init__(self, context: WorkerContext, partition: int, packs: Packs) -> None:
        self._context = context
        self._partition = partition
        self._packs = packs
        self._executions = Executions(context.places.partition())
        self._active: dict[str, None] = {}
        self._entries: dict[int, int] = {}
        self._poisoned: dict[str, str] = {}
        self._outbox: list[tuple[int, list[dict[str, Any]]]] = []

    async def run(self, wanted: Callable[[], bool]) -> Recovered | None:
        """Fence and fold; None if the assignment went elsewhere meanwhile."""
        recovered: Recovered | None = None
        try:
            recovered = await self._recover(wanted)
        finally:
            if recovered is None:
                self._executions.places.close()
        return recovered

    async def _recover(self, wanted: Callable[[], bool]) -> Recovered | None:
        checkpoint = await self._packs.load_checkpoint()
        fenced = await self._fence(checkpoint, wanted)
        if fenced is None:
            return None
        last, epoch, number, position, graceful = fenced
        # An earlier owner may still be writing one, and discard packs that we would rely on.
        checkpoint = await self._packs.claim_checkpoint(epoch, last)
        await self._read_marks(checkpoint)
        inbox = InboxPosition.from_facts(checkpoint.inbox)
        heard = checkpoint.bus
        released = checkpoint.released_through
        journal = self._context.stream.journal
        if last:
            after = min(checkpoint.seq, released)
            async for record in journal.read(self._partition, after=after, upto=last):
                if record.seq <= checkpoint.seq:
                    # Its events are in packs, but its outbox may not be out yet.
                    self._keep_outbox(record.seq, read_head(record.data))
                    continue
                head = await self._fold_commit(record)
                released = max(released, head.releasedThrough)
                if head.inbox is not None:
                    inbox = InboxPosition.from_facts(head.inbox)
                heard = head.bus or heard
        await self._load_definitions()
        return Recovered(
            epoch=epoch,
            position=position,
            number=number,
            graceful=graceful,
            checkpoint=checkpoint,
            executions=self._executions,
            active=list(self._active),
            entries=self._entries,
            inbox=inbox,
            bus=InboxPosition.from_facts(heard),
            lifecycle=InboxPosition.from_facts((heard or {}).get("journal")),
            released_through=released,
            outbox=[(seq, items) for seq, items in self._outbox if seq > released],
            poisoned=self._poisoned,
        )

    async def _load_definitions(self) -> None:
        """Inputs and timers may reach an execution before its turn to be revived comes."""
        for execution, live in self._executions.live.items():
            if live.workflow is not None or live.state is None:
                continue
            digest = live.state.workflow.digest
            try:
                live.workflow = await self._context.definitions.get(digest)
            except (NotFoundError, RejectedError) as error:
                log.error("execution %s cannot go on: %s", execution, error)
                self._poison(execution, live, error.message)

    async def _fence(
        self, checkpoint: Checkpoint, wanted: Callable[[], bool]
    ) -> tuple[int, int, int, int, bool] | None:
        """Raise the epoch in the journal: from here on no earlier owner can write."""
        settings = self._context.settings
        while wanted():
            last = await self._context.stream.journal.last(self._partition)
            expected, written, head = 0, 0, None
            if last is not None:
                expected, written = last.seq, int(last.headers.get(EPOCH_HEADER, "0"))
                head = read_head(last.data)
            epoch = max(checkpoint.epoch, written) + 1
            number = max(head.number if head else 0, checkpoint.number) + 1
            facts = {
                "number": number,
                "epoch": epoch,
                "node": settings.writer,
                "releasedThrough": head.releasedThrough if head else 0,
                "inbox": head.inbox if head else checkpoint.inbox,
            }
            crash_point("before-fence")
            try:
                position = await append_settled(
                    self._context.stream.journal,
                    self._partition,
                    self._fence_batch(facts),
                    expected=expected,
                    nonce=f"{settings.writer}:{epoch}:fence",
                    epoch=epoch,
                )
            except FencedError:
                continue
            crash_point("after-fence")
            return expected, epoch, number, position, bool(head and head.graceful)
        return None

    def _fence_batch(self, facts: dict[str, Any]) -> bytes:
        settings = self._context.settings
        event = {
            "specversion": "1.0",
            "id": f"{settings.tenant}-{self._partition}:{facts['number']}",
            "source": f"/flunq/{settings.tenant}/partitions/{self._partition}",
            "type": FENCE,
            "time": timestamp(self._context.clock.now()),
            "datacontenttype": "application/json",
            "tenant": settings.tenant,
            "partition": self._partition,
            "data": facts,
        }
        return join_batch([msgspec.json.encode(event)])

    async def _read_marks(self, checkpoint: Checkpoint) -> None:
        self._executions.deleted = dict(checkpoint.deleted)
        self._executions.buried = dict(checkpoint.buried)
        self._executions.groups.restore(checkpoint.groups, checkpoint.joined)
        async for number, marks in self._packs.marks_of(checkpoint.packs):
            self._entries[number] = len(marks)
            current = [m for m in marks if checkpoint.deleted.get(m.id, -1) < number]
            self._executions.places.put(mark.place(number) for mark in current)
            for mark in current:
                self._note_activity(mark)

    def _note_activity(self, mark: Mark) -> None:
        if mark.active:
            self._active[mark.id] = None
        else:
            self._active.pop(mark.id, None)

    def _keep_outbox(self, sequence: int, head: Head) -> None:
        if head.outbox:
            self._outbox.append((sequence, head.outbox))

    async def _fold_commit(self, record: Record) -> Head:
        raws = _split(record.data)
        head = _head(raws[0]).data
        self._keep_outbox(record.seq, head)
        touched: dict[str, Live] = {}
        for raw in raws[1:]:
            event = _event(raw)
            if event.subject in self._poisoned:
                continue
            damage = await self._check_out(event) if _reference_bytes in bytes(raw) else ""
            live = await self._fold_event(event, record.seq)
            if live is not None:
                touched[event.subject] = live
            if live is not None and damage:
                self._poison(event.subject, live, damage)
        queued = {item["queue"][1] for item in head.outbox if "queue" in item}
        for live in touched.values():
            self._settle(live, head, queued)
        for item in head.outbox:
            if "queue" in item:
                await self._held_by(QUEUED, record.seq, *item["queue"])
        for execution, task, delivery in head.claims:
            await self._held_by(head.node, record.seq, execution, task, delivery)
        return head

    async def _check_out(self, event: CloudEvent) -> str:
        """Fetch an event's large values; return what is wrong with them."""
        try:
            event.data = await check_out(event.data, self._context.database.blobs)
        except LookupError as error:
            log.error("execution %s, event %d: %s", event.subject, event.seq, error)
            return str(error)
        return ""

    async def _fold_event(self, event: CloudEvent, sequence: int) -> Live | None:
        executions = self._executions
        execution = event.subject
        executions.groups.note([event])
        if event.type in GONE:
            executions.forget(execution)
            executions.bury(event.data.get("request", ""), micros(event.time))
            return None
        if event.type in RESTORING:
            await self._revive(execution, event.seq)
        live = await self._base(execution, sequence)
        if live is None:
            return None
        if event.seq <= live.seq:
            # A stored state may hold the end already, of a commit that was under way.
            return live if live.state is not None and live.state.is_terminal else None
        live.last = sequence
        live.seq = event.seq
        if event.type == QUARANTINED:
            self._quarantined(live, event)
            return None
        try:
            live.state = fold(live.state, event)
        except Exception as error:  # one execution's poison must not stop the rest
            log.exception("execution %s cannot be folded", execution)
            self._poison(execution, live, f"{type(error).__name__}: {error}")
            return None
        if event.type == MIGRATED:
            live.workflow = None
        live.dirty = True
        return live

    def _poison(self, execution: str, live: Live, reason: str) -> None:
        """Let an execution be set aside as soon as there is an owner."""
        live.tainted = True
        self._poisoned.setdefault(execution, reason)

    async def _revive(self, execution: str, seq: int) -> None:
        """Take up again what had ended before the event with this number."""
        executions = self._executions
        found = executions.record(execution)
        place = executions.places.get(execution)
        if execution in executions.live:
            return
        if found is None and place is not None:
            item = (await self._packs.load(place.pack)).get(execution)
            if item is not None and item.ended:
                found = finished_from_pack(item), item.first, item.last
        if found is not None and found[0].seq < seq:
            executions.revive(execution, revived(*found))

    async def _base(self, execution: str, sequence: int) -> Live | None:
        """Return the execution to fold into; None if its end is already recorded."""
        executions = self._executions
        live = executions.live.get(execution)
        if live is not None:
            return live
        if execution in executions.finished:
            return None
        place = executions.places.get(execution)
        if place is not None:
            item = (await self._packs.load(place.pack)).get(execution)
            if item is not None and item.ended:
                return None
            if item is not None:
                live = _unpacked(item)
        if live is None:
            live = Live(None, None, "", first=sequence, last=sequence)
        executions.live[execution] = live
        return live

    def _settle(self, live: Live, head: Head, queued: set[str]) -> None:
        """After a commit: note who holds its new tasks, and put ended executions aside."""
        state = live.state
        if state is None:
            return
        for task, opened in state.tasks.items():
            if opened.node == UNASSIGNED:
                opened.node = QUEUED if task in queued else head.node
        if not live.fingerprint:
            live.fingerprint = fingerprint(state.input)
        if state.status in ENDED:
            self._executions.live.pop(state.id, None)
            self._executions.finished[state.id] = (finished_record(live), live.first, live.last)

    async def _held_by(
        self, node: str, sequence: int, execution: str, task: str, delivery: int = 0
    ) -> None:
        """Note who has an open task; its execution may lie in a pack, for nothing else happened."""
        if not self._executions.knows(execution):
            return
        live = await self._base(execution, sequence)
        if live is None or live.state is None or task not in live.state.tasks:
            return
        opened = live.state.tasks[task]
        opened.node = node
        opened.delivery = delivery or opened.delivery
        live.dirty = True

    def _quarantined(self, live: Live, event: CloudEvent) -> None:
        finished = quarantined_record(live.state, event, live.fingerprint)
        self._executions.live.pop(event.subject, None)
        self._executions.finished[event.subject] = (finished, live.first, live.last)


async def live_from_pack(context: WorkerContext, item: Packed) -> Live:
    """Return an execution as its pack holds it, with its definition."""
    live = _unpacked(item)
    assert live.state is not None
    live.workflow = await context.definitions.get(live.state.workflow.digest)
    return live


def _unpacked(item: Packed) -> Live:
    state = decode_state(item.body)
    live = Live(state, None, item.fingerprint, first=item.first, last=item.last)
    live.dirty = False
    return live


def finished_from_pack(item: Packed) -> Finished:
    """Return the record of an ended execution as its pack holds it."""
    return decode_finished(item.body)
