"""Deliberate defects of the engine, each switched on for one run: the simulation must find them.

Every entry undoes one of the engine's safeguards by replacing a piece of production code while a
context is open. Nothing of this exists outside of the simulation's process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from flunq.core.events import DELETED
from flunq.core.execution import fold as folding
from flunq.core.execution.commands import Fire, Start
from flunq.core.protocol import Reply
from flunq.log.ports import OutcomeUnknownError, SequenceConflictError
from flunq.services.worker import commit, owner, recovery
from flunq.services.worker.adoption import Adoption
from flunq.services.worker.aftermath import Aftermath
from flunq.services.worker.checkpoint import Checkpointer
from flunq.services.worker.commit import EPOCH_HEADER, NONCE_HEADER, Committer, FencedError
from flunq.services.worker.foresight import Foreseen
from flunq.services.worker.inbox import InboxPosition
from flunq.services.worker.outbox import Outbox
from flunq.services.worker.owner import Owner
from flunq.services.worker.packs import Packs
from flunq.services.worker.partition import Partition
from flunq.services.worker.recovery import Recovery, read_head
from flunq.services.worker.requeue import Requeue
from flunq.services.worker.timers import Moment, Timers

Defect = Callable[[], AbstractContextManager[None]]
DEFECTS: dict[str, Defect] = {}
EARLY = 50_000


def _defect(function: Callable[[], Iterator[None]]) -> Callable[[], AbstractContextManager[None]]:
    made = contextmanager(function)
    DEFECTS[function.__name__] = made
    return made


# --- commits ------------------------------------------------------------------------------------


@_defect
def no_expected_sequence() -> Iterator[None]:
    """Commits go without the header that fences stale owners off."""
    real = commit.append_settled

    class Headless:
        def __init__(self, journal: Any) -> None:
            self.last = journal.last
            self._append = journal.append

        async def append(self, partition: int, data: bytes, **named: Any) -> int:
            seq: int = await self._append(partition, data, **{**named, "expected": None})
            return seq

    async def append(journal: Any, *rest: Any, **named: Any) -> int:
        return await real(Headless(journal), *rest, **named)  # type: ignore[arg-type]

    with patch.object(commit, "append_settled", append):
        yield


@_defect
def unknown_is_failure() -> Iterator[None]:
    """A commit without an answer is taken for lost, and sent again where the journal now ends."""

    async def append(
        journal: Any, partition: int, payload: bytes, *, expected: int, **named: Any
    ) -> int:
        headers = {NONCE_HEADER: named["nonce"], EPOCH_HEADER: str(named["epoch"])}
        while True:
            try:
                seq: int = await journal.append(
                    partition, payload, expected=expected, headers=headers
                )
            except SequenceConflictError:
                raise FencedError("somebody else wrote") from None
            except OutcomeUnknownError:
                last = await journal.last(partition)
                expected = 0 if last is None else last.seq
            else:
                return seq

    with patch.object(commit, "append_settled", append):
        yield


@_defect
def answered_before_commit() -> Iterator[None]:
    """Whoever sent a command is answered although nothing is durable yet."""
    real = Owner._note

    def note(self: Owner, live: Any, decision: Any, job: Any, events: Any) -> None:
        if job.settle is not None and decision.events:
            code = 201 if isinstance(job.command, Start) else 200
            job.settle(Reply(code=code, id=job.command.id, status=live.state.status))
            job.settle = None
        real(self, live, decision, job, events)

    with patch.object(Owner, "_note", note):
        yield


@_defect
def effects_before_acknowledgement() -> Iterator[None]:
    """Tasks are dispatched and results told while the commit is still on its way."""
    take, acknowledge = Committer._take, Committer._acknowledge

    def release_at_once(self: Committer) -> Any:
        batch = take(self)
        self._aftermath.follow(self.position + 1, batch)
        return batch

    def acknowledge_only(self: Committer, sequence: int, batch: Any) -> None:
        with patch.object(self._aftermath, "follow", lambda *_: None):
            acknowledge(self, sequence, batch)

    with (
        patch.object(Committer, "_take", release_at_once),
        patch.object(Committer, "_acknowledge", acknowledge_only),
    ):
        yield


@_defect
def no_outbox_cursor() -> Iterator[None]:
    """Commits say that everything is released before it is."""
    real = Outbox.add

    def add(self: Outbox, sequence: int, *rest: Any) -> None:
        real(self, sequence, *rest)
        self.released_through = sequence

    with patch.object(Outbox, "add", add):
        yield


@_defect
def inbox_floor_too_early() -> Iterator[None]:
    """A commit names inputs as consumed that were only read."""

    def facts(self: InboxPosition) -> dict[str, Any]:
        return {"created": self.created, "floor": self._seen_upto, "above": []}

    with patch.object(InboxPosition, "facts", facts):
        yield


# --- ownership ----------------------------------------------------------------------------------


@_defect
def no_fence() -> Iterator[None]:
    """A new owner begins to work without writing to the journal first."""

    async def fence(self: Recovery, checkpoint: Any, wanted: Any) -> Any:
        last = await self._context.stream.journal.last(self._partition)
        if last is None:
            return 0, checkpoint.epoch + 1, checkpoint.number, 0, False
        head = read_head(last.data)
        epoch = max(checkpoint.epoch, head.epoch) + 1
        return last.seq, epoch, head.number, last.seq, head.graceful

    with patch.object(Recovery, "_fence", fence):
        yield


@_defect
def no_adoption() -> Iterator[None]:
    """Nobody runs the tasks again that a dead node held."""

    async def adopt(self: Adoption) -> None:
        return

    with patch.object(Adoption, "adopt", adopt):
        yield


@_defect
def lost_tasks_not_noticed() -> Iterator[None]:
    """Nobody queues tasks again that the queue has lost."""

    async def look(self: Requeue) -> None:
        return

    with patch.object(Requeue, "look", look):
        yield


@_defect
def events_read_from_the_end() -> Iterator[None]:
    """A new owner reads the bus from where it ends, not from where its listeners were."""
    real = Partition._make_owner

    def make(self: Partition, recovered: Any) -> Owner:
        made = real(self, recovered)
        made.hearing.bus = InboxPosition(floor=self.context.stream.bus._log.last_seq)  # type: ignore[attr-defined]
        return made

    with patch.object(Partition, "_make_owner", make):
        yield


@_defect
def emitted_events_not_promised() -> Iterator[None]:
    """Commits do not name the events that are to be published after them."""
    real = Aftermath.facts

    def facts(self: Aftermath, batch: Any, number: int) -> dict[str, Any]:
        found = real(self, batch, number)
        if "outbox" in found:
            found["outbox"] = [item for item in found["outbox"] if "publish" not in item]
        return found

    with patch.object(Aftermath, "facts", facts):
        yield


# --- recovery -----------------------------------------------------------------------------------


@_defect
def checkpoint_without_barrier() -> Iterator[None]:
    """A checkpoint holds states whose commits are still under way."""
    real = Checkpointer.write

    async def write(self: Checkpointer) -> None:
        async def at_once() -> None:
            return

        with patch.object(self._owner.committer, "flushed", at_once):
            await real(self)

    with patch.object(Checkpointer, "write", write):
        yield


@_defect
def checkpoint_replaces_newer() -> Iterator[None]:
    """A checkpoint is written without looking whether a newer one is there."""
    real = Packs.store_checkpoint

    async def store(self: Packs, checkpoint: Any) -> None:
        entry = await self._state.get(f"{self._prefix}.checkpoint")
        self._revision = entry.revision if entry else 0
        await real(self, checkpoint)

    with patch.object(Packs, "store_checkpoint", store):
        yield


@_defect
def events_folded_twice() -> Iterator[None]:
    """Recovery applies events again that a stored state holds already."""
    real_event = Recovery._fold_event

    async def fold_event(self: Recovery, event: Any, sequence: int) -> Any:
        live = None if event.type == DELETED else await self._base(event.subject, sequence)
        if live is not None:
            live.seq = 0
        return await real_event(self, event, sequence)

    def fold(state: Any, event: Any) -> Any:
        if state is not None and event.seq <= state.seq:
            state.seq = event.seq - 1
        return folding.fold(state, event)

    with (
        patch.object(Recovery, "_fold_event", fold_event),
        patch.object(recovery, "fold", fold),
    ):
        yield


@_defect
def timers_not_rearmed() -> Iterator[None]:
    """A new owner forgets the timers of what it takes over."""
    real = Partition._go_on

    async def go_on(self: Partition, owner: Owner, recovered: Any) -> None:
        with patch.object(owner.timers, "arm", lambda *_: None):
            await real(self, owner, recovered)

    with patch.object(Partition, "_go_on", go_on):
        yield


# --- time and identity --------------------------------------------------------------------------


@_defect
def timers_fire_early() -> Iterator[None]:
    """Timers come a little before they are due, and nobody minds."""
    arm, settled = Timers.arm, Owner._is_settled_already
    due_of = Owner._timer_due

    def early(self: Timers, execution: str, timer: str, due: int) -> None:
        arm(self, execution, timer, due - EARLY)

    def timer_due(self: Owner, moment: Moment) -> None:
        due, execution, timer = moment
        due_of(self, (due + EARLY, execution, timer))

    def is_settled(self: Owner, live: Any, command: Any, job: Any) -> bool:
        return not isinstance(command, Fire) and settled(self, live, command, job)

    with (
        patch.object(Timers, "arm", early),
        patch.object(Owner, "_timer_due", timer_due),
        patch.object(Owner, "_is_settled_already", is_settled),
    ):
        yield


@_defect
def foreseen_whatever_happens() -> Iterator[None]:
    """What a timer leads to is decided in advance, and counts although something else happened."""
    with patch.object(Foreseen, "holds", lambda *_: True):
        yield


@_defect
def foreseen_before_it_is_due() -> Iterator[None]:
    """Timers come early, and what was foreseen says that they were in time."""
    begin, settled = Timers.__init__, Owner._is_settled_already

    class Ahead:
        def __init__(self, clock: Any) -> None:
            self._clock = clock

        def now(self) -> int:
            now: int = self._clock.now()
            return now + EARLY

    def begin_ahead(self: Timers, clock: Any, *rest: Any) -> None:
        begin(self, Ahead(clock), *rest)

    def is_settled(self: Owner, live: Any, command: Any, job: Any) -> bool:
        return not isinstance(command, Fire) and settled(self, live, command, job)

    with (
        patch.object(Timers, "__init__", begin_ahead),
        patch.object(Owner, "_is_settled_already", is_settled),
        patch.object(Foreseen, "holds", lambda self, live, _: live.state is self.before),
    ):
        yield


@_defect
def repeated_start_not_recognised() -> Iterator[None]:
    """A start under the id of an execution that has ended begins it anew."""
    real = Owner.submit

    def submit(self: Owner, job: Any) -> None:
        known = self.executions
        if isinstance(job.command, Start) and job.command.id not in known.live:
            known.forget(job.command.id)
        real(self, job)

    with patch.object(Owner, "submit", submit):
        yield


@_defect
def conflicting_start_accepted() -> Iterator[None]:
    """Another start under the same id is taken for a repetition."""
    with patch.object(owner, "same_start", lambda *_: True):
        yield
