"""One partition on this node: take it over, serve it, hand it over."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import msgspec

from flunq.core.execution.commands import (
    Cancel,
    Command,
    Continue,
    Delete,
    Migrate,
    Restore,
    Resume,
    Start,
    Suspend,
)
from flunq.core.protocol import (
    Commands,
    NewOwner,
    Reply,
    Reports,
    ask_subject,
    owner_subject,
    report_subject,
    start_subject,
)
from flunq.errors import ConflictError
from flunq.log.ports import OutcomeUnknownError, StoreFullError
from flunq.services.lasting import heard
from flunq.services.tenants.quota import refusal
from flunq.services.wire import claim_in, decode_commands, decode_event
from flunq.services.worker.adoption import Adoption
from flunq.services.worker.burying import bury_event, bury_input
from flunq.services.worker.checkpoint import Checkpointer
from flunq.services.worker.commit import Entry, FencedError
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.jobs import Job, is_fork, name_of_input
from flunq.services.worker.lifecycle import LifecycleReader
from flunq.services.worker.listeners import BusShare
from flunq.services.worker.owner import Owner
from flunq.services.worker.packs import Packs, StaleCheckpointError
from flunq.services.worker.questions import Questions
from flunq.services.worker.recovery import (
    Recovered,
    Recovery,
    finished_from_pack,
    live_from_pack,
)
from flunq.services.worker.requeue import Requeue
from flunq.services.worker.retention import RetentionSweep
from flunq.services.worker.suspects import Suspects
from flunq.telemetry.catalog import histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flunq.log.ports import Record
    from flunq.services.worker.context import WorkerContext
    from flunq.services.worker.executions import Live

log = logging.getLogger(__name__)

PAUSES_SECONDS = 60.0
"""How old the pauses may be that an owner knows of which nothing runs."""
CALM_SECONDS = 10.0
"""An owner that lives for so long did not take over what kills processes."""
A_MOMENT = 0.05
"""Seconds in which timers fire that are due already."""
UNREACHED = (OutcomeUnknownError, StoreFullError)
"""Reasons to give a partition up for a moment and to take it over again."""
BREATH = 8
"""Commands of one request that are applied before timers and commits get their turn."""

_encode = msgspec.json.Encoder().encode
_commands = msgspec.json.Decoder(Commands).decode
CLIENT_COMMANDS = (Start, Cancel, Suspend, Resume, Migrate, Delete)
"""What clients may say; reports and timers are the engine's own."""
_FORBIDDEN = Reply(
    code=403,
    problem={
        "type": "urn:flunq:error:forbidden",
        "title": "Not for clients",
        "status": 403,
        "detail": "only the engine itself may send this command",
    },
)
_reports = msgspec.json.Decoder(Reports).decode
_new_owner = msgspec.json.Decoder(NewOwner).decode


class Partition:
    """Runs one partition from fence to hand-over."""

    def __init__(self, context: WorkerContext, number: int) -> None:
        self.context = context
        self.number = number
        self.owner: Owner | None = None
        settings = context.settings
        self._packs = Packs(context.database.state, context.database.blobs, settings.tenant, number)
        self._stop = asyncio.Event()
        self._questions: Questions
        self._doubts = 0
        """How often a newer owner was heard of."""
        self._settled = (context.lapses, 0)
        """The lapses and doubts since which the journal has taken a commit of ours."""
        self._checkpointer: Checkpointer | None = None
        self._suspects = Suspects(context.database.state, context.trials, settings.tenant, number)
        self._caught_up = asyncio.Event()
        """What was waiting has been read: among it may be what killed the last owner."""
        self._watched_until = 0.0
        """Inputs stored before this moment (seconds) are tried under watch."""

    def stop(self) -> None:
        """Begin the hand-over; :meth:`run` returns when it is done."""
        self._stop.set()

    async def run(self, wanted: Callable[[], bool], serving: Callable[[], None]) -> None:
        """Own the partition until told to stop; raises FencedError when another took it.

        ``serving`` is called once the partition answers.
        """
        with ExitStack() as recovering:
            recovered = await self._recover(wanted, recovering)
            if recovered is not None:
                await self._own(recovered, serving)

    async def _recover(self, wanted: Callable[[], bool], recovering: ExitStack) -> Recovered | None:
        """Take the partition over; None if the assignment went elsewhere meanwhile."""
        try:
            recovered = await Recovery(self.context, self.number, self._packs).run(wanted)
            if recovered is not None:
                recovering.callback(recovered.executions.places.close)
                first = recovered.number == 1
                await self._suspects.look(graceful=recovered.graceful or first)
                # Whoever pauses a workflow may have asked the last owner: this one must know, too.
                await self.context.pauses.refresh()
        except StaleCheckpointError:
            raise FencedError(f"partition {self.number} has another owner") from None
        except UNREACHED as error:
            raise FencedError(f"partition {self.number} is out of reach: {error}") from None
        return recovered

    async def _own(self, recovered: Recovered, serving: Callable[[], None]) -> None:
        owner = self._make_owner(recovered)
        if not recovered.graceful:
            self._watched_until = self.context.clock.now() / 1_000_000
        if self._suspects.careful:
            owner.watched = asyncio.Queue()
        self._checkpointer = Checkpointer(
            owner, self._packs, recovered.checkpoint, recovered.epoch, recovered.entries
        )
        try:
            await self._serve(owner, recovered, serving)
        except* (FencedError, StaleCheckpointError, *UNREACHED) as group:
            unreached = group.subgroup(UNREACHED)
            why = "has another owner" if unreached is None else "is out of reach"
            raise FencedError(f"partition {self.number} {why}") from None
        finally:
            self.owner = None
            self._suspects.close()
            owner.close()

    def _make_owner(self, recovered: Recovered) -> Owner:
        async def load(execution: str) -> None:
            await self._load(owner, execution)

        owner = Owner(
            self.context,
            self.number,
            epoch=recovered.epoch,
            executions=recovered.executions,
            inbox=recovered.inbox,
            bus=recovered.bus,
            lifecycle=recovered.lifecycle,
            position=recovered.position,
            number=recovered.number,
            released_through=recovered.released_through,
            load=load,
            packs=self._packs,
        )
        return owner

    async def _serve(self, owner: Owner, recovered: Recovered, serving: Callable[[], None]) -> None:
        requests = self.context.stream.requests
        tenant = self.context.settings.tenant
        await self._take_up(owner, recovered)
        self._questions = Questions(owner, self._packs, self._checkpoint)
        adoption = Adoption(self.context, owner, graceful=recovered.graceful)
        self.owner = owner
        bus_start: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(owner.committer.run()),
                group.create_task(self._read_inbox(owner)),
                group.create_task(self._keep_checkpoints(owner)),
                group.create_task(self._sweep(owner, adoption, Requeue(self.context, owner))),
                group.create_task(self._heed_wakes(owner)),
                group.create_task(self._follow_bus(owner, bus_start)),
                group.create_task(LifecycleReader(owner).run()),
                group.create_task(self._grow_calm(owner)),
            ]
            await self._go_on(owner, recovered)
            owner.spawn(owner.heeding.act())
            if (watched := owner.watched) is not None:
                # Tasks that are begun before the deadly input is found die for nothing.
                await asyncio.sleep(A_MOMENT)
                await watched.join()
            await adoption.adopt()
            bus_start.set_result(owner.hearing.bus.floor)
            async with (
                requests.serve(start_subject(tenant, self.number), self._take_commands),
                requests.serve(report_subject(tenant, self.number), self._take_reports),
                requests.serve(ask_subject(tenant, self.number), self._take_question),
                requests.listen(owner_subject(tenant, self.number), self._hear_of_owner),
            ):
                serving()
                owner.spawn(self._announce(owner.committer.settings.epoch))
                await self._stop.wait()
            await self._hand_over(owner)
            for task in loops:
                task.cancel()

    async def _announce(self, epoch: int) -> None:
        """Let clients repeat what they asked the last owner; unheard, they do so by themselves."""
        subject = owner_subject(self.context.settings.tenant, self.number)
        with suppress(*UNREACHED):
            notice = NewOwner(partition=self.number, epoch=epoch)
            await self.context.stream.requests.notify(subject, _encode(notice))

    def _hear_of_owner(self, notice: bytes) -> None:
        """Doubt that the partition is ours still: who heard of a new owner may ask this one."""
        owner = self.owner
        if owner is not None and _new_owner(notice).epoch > owner.committer.settings.epoch:
            self._doubts += 1
            owner.spawn(self.is_certain(owner))

    # -- after a take-over ---------------------------------------------------------------------

    async def _take_up(self, owner: Owner, recovered: Recovered) -> None:
        """Find out how far the last owner was, before there is any commit of this one.

        Each commit says how far its owner has heard and what is out: the next one goes by that.
        """
        hearing = owner.hearing
        newest = await self.context.stream.bus.last_seq()
        for live in owner.executions.live.values():
            hearing.take_up(live)
        for execution in recovered.active:
            await owner.sleepers.bring_back(execution)
            if (brought := owner.executions.live.get(execution)) is not None:
                hearing.take_up(brought)
        hearing.go_on(newest)
        for sequence, items in recovered.outbox:
            owner.outbox.add(sequence, items)

    async def _go_on(self, owner: Owner, recovered: Recovered) -> None:
        """Do what the last owner left undone."""
        owner.sleepers.keep_time()
        for live in list(owner.executions.live.values()):
            await self._revive(owner, live)
        await self._suspects.clear()
        for execution, reason in recovered.poisoned.items():
            broken = owner.executions.live.get(execution)
            if broken is not None and broken.state is not None:
                owner.setting_aside.live(broken, reason, Job(Continue(id=execution)))

    async def _revive(self, owner: Owner, live: Live) -> None:
        state = live.state
        if state is None or live.tainted:
            return
        for timer, due in state.timers.items():
            owner.timers.arm(state.id, timer, due)
        if state.has_work:
            job = Job(Continue(id=state.id))
            if self._watched_until:
                await self._try(owner, f"execution {state.id}", [job])
            else:
                owner.submit(job)

    # -- requests --------------------------------------------------------------------------------

    async def _take_commands(self, payload: bytes) -> bytes | None:
        request = _commands(payload)
        owner = self.owner
        if owner is None or self._stop.is_set():
            return None
        if not all(map(may_come_from_clients, request.commands)):
            return _encode([_FORBIDDEN] * len(request.commands))
        await self._caught_up.wait()
        await self._room(owner)
        refused = self._refused(owner, request.commands)
        admitted = [command for command in request.commands if command.id not in refused]
        replies = iter(await gather_replies(owner, admitted, request.mailbox, follows=True))
        return _encode([refused.get(command.id) or next(replies) for command in request.commands])

    def _refused(self, owner: Owner, commands: Sequence[Command]) -> dict[str, Reply]:
        """Return the answers to starts for which the tenant has no quota left."""
        quota = self.context.quota
        refused: dict[str, Reply] = {}
        if not quota.limited:
            return refused
        for command in commands:
            if isinstance(command, (Start, Restore)) and not owner.executions.knows(command.id):
                error = quota.admit()
                if error is not None:
                    refused[command.id] = refusal(command.id, error)
        return refused

    async def _take_question(self, payload: bytes) -> bytes | None:
        if self.owner is None or not await self.is_certain(self.owner):
            return None
        return await self._questions.answer(payload)

    async def is_certain(self, owner: Owner) -> bool:
        """Tell whether this still is the owner; after a lapse or a doubt the journal says so."""
        context = self.context
        known, now = (context.lapses, self._doubts), asyncio.get_running_loop().time()
        if known == self._settled and now < context.certain_until:
            return True
        owner.committer.add(Entry(events=[]))
        try:
            await owner.committer.flushed()
        except FencedError:
            return False
        self._settled = max(self._settled, known)
        return True

    async def _take_reports(self, payload: bytes) -> bytes | None:
        owner = self.owner
        if owner is None or self._stop.is_set():
            return None
        reports: list[Command] = list(_reports(payload).reports)
        await self._room(owner)
        refused = self._refused(owner, [report for report in reports if is_fork(report)])
        admitted = [report for report in reports if report.id not in refused]
        replies = iter(await gather_replies(owner, admitted, None))
        return _encode([refused.get(report.id) or next(replies) for report in reports])

    async def _read_inbox(self, owner: Owner) -> None:
        inbox = self.context.stream.inbox
        owner.inbox.rebase(await inbox.created())
        backlog = await inbox.newest(self.number) if self._watched_until else 0
        if backlog <= owner.inbox.floor:
            self._caught_up.set()
        async for batch in inbox.read(self.number, after=owner.inbox.floor):
            for record in batch:
                if owner.inbox.read(record.seq):
                    await self._take_from_inbox(owner, record)
            await self._suspects.clear()
            if batch[-1].seq >= backlog:
                self._caught_up.set()
            await self._room(owner)

    async def _take_from_inbox(self, owner: Owner, record: Record) -> None:
        crash_point("before-input")
        waited = max(0.0, self.context.clock.now() / 1e6 - record.time)
        histogram("flunq_input_wait_seconds", self.context.settings.tenant).observe(waited)
        body: bytes | None = record.data
        key = claim_in(record.data)
        if key is not None:
            body = await self.context.database.blobs.get(key)
        if body is None:
            bury_input(owner, record, record.data, f"its body {key} is gone")
            return
        try:
            commands = decode_commands(body)
        except msgspec.MsgspecError as error:
            log.error("input %d of %d is not readable: %s", record.seq, self.number, error)
            bury_input(owner, record, record.data, f"it cannot be read: {error}")
            return
        if record.external:
            commands = list(filter(may_come_from_clients, commands))
            # Who sent them asks until there is an answer, and hears there what is used up.
            refused = self._refused(owner, commands)
            commands = [command for command in commands if command.id not in refused]
        if not commands:
            owner.inbox.consumed(record.seq)
            return
        if len(commands) == 1:
            jobs = [Job(commands[0], inbox=record.seq)]
        else:
            # Each may wait for something of its own; the input is read once all are decided.
            share = BusShare(len(commands), lambda: owner.inbox.consumed(record.seq))
            jobs = [Job(command, share=share) for command in commands]
        if record.time < self._watched_until:
            await self._try(owner, f"input {record.seq}", jobs)
        else:
            for job in jobs:
                owner.submit(job)
        crash_point("after-input")

    async def _try(self, owner: Owner, name: str, jobs: list[Job]) -> None:
        """Apply commands under watch; what killed a process before is set aside untried."""
        for job in jobs:
            await owner.bringing.prepare(job)
        async with self._suspects.turn:
            killer = await self._suspects.is_killer(name)
            for job in jobs:
                if killer:
                    owner.setting_aside.untried(job, "the process died on this input twice")
                else:
                    owner.apply(job)

    async def _grow_calm(self, owner: Owner) -> None:
        """Try every input alone while processes die again and again, until this one lives on."""
        loop = asyncio.get_running_loop()
        calm_at = loop.time() + CALM_SECONDS
        waiting = owner.watched
        while waiting is not None and loop.time() < calm_at:
            try:
                async with asyncio.timeout_at(calm_at):
                    job = await waiting.get()
            except TimeoutError:
                break
            await self._try(owner, name_of_input(job.command), [job])
            waiting.task_done()
            if waiting.empty():
                await self._suspects.clear()
        await asyncio.sleep(calm_at - loop.time())
        owner.watched = None
        while waiting is not None and not waiting.empty():
            owner.apply(waiting.get_nowait())
            waiting.task_done()
        await self._suspects.calm()

    async def _follow_bus(self, owner: Owner, start: asyncio.Future[int]) -> None:
        async for record in self.context.stream.bus.follow(after=await start):
            try:
                event = decode_event(record.data)
            except msgspec.MsgspecError as error:
                log.warning("event %d of the bus is not readable", record.seq)
                bury_event(owner, record, f"it cannot be read: {error}")
                event = {}
            owner.hearing.hear(record.seq, event)

    async def _room(self, owner: Owner) -> None:
        """Take nothing more while commits cannot keep up."""
        if owner.watched is not None and owner.watched.qsize() > BREATH:
            await owner.watched.join()
        if owner.committer.buffered_bytes > self.context.settings.max_buffered:
            await owner.committer.flushed()

    # -- beside the traffic ------------------------------------------------------------------------

    async def _load(self, owner: Owner, execution: str) -> None:
        """Bring an execution back from its pack."""
        executions = owner.executions
        place = executions.place_if_asleep(execution)
        if place is None:
            return
        item = (await self._packs.load(place.pack)).get(execution)
        if item is None:
            return
        if item.ended:
            executions.recall(finished_from_pack(item), item.first, item.last)
            return
        live = await live_from_pack(self.context, item)
        # Someone else may have brought it back, and to its end, while the pack was read.
        if executions.place_if_asleep(execution) == place:
            owner.sleepers.wake(live)

    async def _keep_checkpoints(self, owner: Owner) -> None:
        settings = self.context.settings
        while True:
            await heard(owner.aftermath.much_written, within=settings.checkpoint_seconds)
            owner.aftermath.much_written.clear()
            if owner.aftermath.journal_bytes or owner.executions.finished or owner.executions.live:
                await self._checkpoint()

    async def _checkpoint(self) -> None:
        assert self._checkpointer is not None
        try:
            await self._checkpointer.write()
        except (OutcomeUnknownError, StoreFullError) as error:
            log.warning("partition %d: no checkpoint this time: %s", self.number, error)

    async def _sweep(self, owner: Owner, adoption: Adoption, requeue: Requeue) -> None:
        """Look after what no event will remind us of."""
        retention = RetentionSweep(owner, self._packs)
        while True:
            await asyncio.sleep(self.context.settings.sweep_seconds)
            await self._suspects.clear()
            owner.watchers.forget()
            owner.sleepers.keep_time()
            await adoption.adopt()
            await requeue.look()
            await retention.look()
            await self._look_at_pauses(owner)
            await owner.sleepers.ask_for_reminder()

    async def _look_at_pauses(self, owner: Owner) -> None:
        """Read them again, in case that nobody could tell this owner; finish what others began."""
        context = self.context
        within = context.settings.sweep_seconds / 2 if owner.executions.live else PAUSES_SECONDS
        with suppress(OutcomeUnknownError, StoreFullError, ConflictError):
            await context.pauses.keep_up(within)
            if self.number == 0:
                await context.tally.tell()
        owner.heeding.keep_up()

    async def _heed_wakes(self, owner: Owner) -> None:
        async for _ in self.context.stream.schedules.wakes(self.number):
            owner.sleepers.keep_time()

    async def _hand_over(self, owner: Owner) -> None:
        await owner.committer.flushed()
        owner.leave_gracefully()
        await owner.committer.flushed()
        await self._checkpoint()


def may_come_from_clients(command: Command) -> bool:
    """Tell whether clients may say it; the end of a child is an outcome of its parent's task."""
    if isinstance(command, Start) and (command.parent is not None or command.parent_task):
        return False
    return isinstance(command, CLIENT_COMMANDS)


async def gather_replies(
    owner: Owner, commands: list[Command], mailbox: str | None, *, follows: bool = False
) -> list[Reply]:
    """Apply commands; return their replies, in order, once all of them are durable."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    replies: list[Reply | None] = [None] * len(commands)
    left = len(commands)

    def settle_at(position: int) -> Callable[[Reply], None]:
        def settle(reply: Reply) -> None:
            nonlocal left
            replies[position] = reply
            left -= 1
            if not left and not done.done():
                done.set_result(None)

        return settle

    for position, command in enumerate(commands):
        job = Job(command, settle=settle_at(position), mailbox=mailbox, follows=follows)
        owner.submit(job)
        if position % BREATH == BREATH - 1:
            await asyncio.sleep(0)
    if left:
        await done
    return [reply for reply in replies if reply is not None]
