"""The owner of a partition: takes inputs, decides, commits, then lets effects happen."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.events import (
    DELETED,
    CloudEvent,
    encode_event,
    timestamp,
)
from flunq.core.execution.commands import (
    Command,
    Continue,
    Delete,
    Failure,
    Fire,
    Join,
    Report,
    Start,
    WorkflowRef,
)
from flunq.core.execution.decide import Decision, Environment, decide
from flunq.core.execution.faults import BASE
from flunq.core.execution.turn import MAX_EVENT
from flunq.core.protocol import Reply
from flunq.log.ports import OutcomeUnknownError
from flunq.services.worker.aftermath import Aftermath
from flunq.services.worker.bringing import Bringing
from flunq.services.worker.collecting import Collector
from flunq.services.worker.commit import EPOCH_HEADER, CommitSettings, Committer, Entry
from flunq.services.worker.crashpoints import crash_point
from flunq.services.worker.definitions import KEPT
from flunq.services.worker.entries import EntryWriter
from flunq.services.worker.executions import Executions, Finished, Live
from flunq.services.worker.fingerprint import fingerprint, same_start
from flunq.services.worker.foresight import Foresight
from flunq.services.worker.hearing import Hearing
from flunq.services.worker.heeding import Heeding
from flunq.services.worker.jobs import (
    STEPS,
    Job,
    Settle,
    conflict,
    deleted,
    full,
    is_awaited_child,
    is_incomplete,
    name_of,
    reply_to,
    still_running,
    unknown,
)
from flunq.services.worker.outbox import Outbox
from flunq.services.worker.returning import RETURNS, Returns
from flunq.services.worker.setting_aside import SettingAside
from flunq.services.worker.sleepers import Sleepers
from flunq.services.worker.starting import drawn
from flunq.services.worker.timers import Timers
from flunq.services.worker.watchers import Watchers

if TYPE_CHECKING:
    from collections.abc import Callable

    from flunq.core.execution.state import State
    from flunq.core.expressions import Answer, Need
    from flunq.services.worker.context import WorkerContext
    from flunq.services.worker.foresight import Foreseen
    from flunq.services.worker.inbox import InboxPosition
    from flunq.services.worker.packs import Packs
    from flunq.services.worker.timers import Moment

log = logging.getLogger(__name__)

RUNTIME = {"name": "flunq", "version": version("flunq"), "metadata": {}}
EVENT_ROOM = 16 * 1024
"""Bytes of a message around an event: subject and headers."""

RETRY_SECONDS = 1.0
_EXAMINED = frozenset({Start, Fire, Delete})
"""Commands that may be settled without the core."""


class _After(msgspec.Struct, kw_only=True):
    """What is left to do once a decision is durable.

    Its events are not kept for so long: what is freed at once is still in the processor's cache.
    """

    live: Live
    failures: int
    more: bool
    reply: Reply | None = None
    settle: Settle | None = None


class Owner:
    """The state machine of one partition, between recovery and hand-over."""

    def __init__(
        self,
        context: WorkerContext,
        partition: int,
        *,
        epoch: int,
        executions: Executions,
        inbox: InboxPosition,
        bus: InboxPosition,
        lifecycle: InboxPosition,
        position: int,
        number: int,
        released_through: int,
        load: Callable[[str], Any],
        packs: Packs,
    ) -> None:
        self.context = context
        self.partition = partition
        self.executions = executions
        self.inbox = inbox
        self.hearing = Hearing(self.submit, bus=bus, lifecycle=lifecycle)
        self.watchers = Watchers(context.clock)
        self._foresight = Foresight(self)
        self.timers = Timers(context.clock, self._timer_due, self._foresight.expect)
        settings = context.settings
        self.source = f"/flunq/{settings.tenant}/partitions/{partition}"
        self.load = load
        self.bringing = Bringing(self)
        self.setting_aside = SettingAside(self)
        self.collector = Collector(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self.outbox = Outbox(
            context,
            partition,
            open_dispatch=executions.open_dispatch,
            released_through=released_through,
        )
        self.aftermath = Aftermath(
            context,
            executions=executions,
            inbox=inbox,
            hearing=self.hearing,
            timers=self.timers,
            watchers=self.watchers,
            outbox=self.outbox,
        )
        self.committer = self._make_committer(epoch=epoch, position=position, number=number)
        self.sleepers = Sleepers(self)
        self._environments: dict[str, Environment] = {}
        self.writer = EntryWriter(settings, context.dispatcher)
        self._returns = Returns(self)
        self.heeding = Heeding(self, packs)
        self.leaving: set[str] = set()
        """Ended executions whose removal is on its way into the journal: one event is enough."""
        self.unwanted: set[str] = set()
        """Deleted executions of which no pack may have anything after the next checkpoint."""
        # Before Python 3.12 it takes a system call to ask which loop runs.
        self._loop = asyncio.get_running_loop()
        self.watched: asyncio.Queue[Job] | None = None
        """Where inputs wait to be tried one at a time, while processes die again and again."""

    def _make_committer(self, *, epoch: int, position: int, number: int) -> Committer:
        context = self.context
        settings = CommitSettings(
            partition=self.partition,
            source=self.source,
            tenant=context.settings.tenant,
            node=context.settings.writer,
            epoch=epoch,
        )
        return Committer(
            settings,
            context.stream.journal,
            position=position,
            number=number,
            aftermath=self.aftermath,
            timestamp=lambda: timestamp(context.clock.now()),
            bring_more=self.timers.catch_up,
            turn=context.commit_turn,
        )

    # -- inputs ---------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Apply a command, unless it has to wait until it is tried."""
        if self.watched is None:
            self.apply(job)
        else:
            self.watched.put_nowait(job)

    def apply(self, job: Job) -> None:
        """Apply a command now, or as soon as its execution is in memory."""
        execution = job.command.id
        live = self.executions.live.get(execution)
        if live is not None and type(job.command) in STEPS and not self.bringing.busy:
            self.decide(live, job)
            return
        # What the inbox holds has been accepted: it waits until there is room.
        if isinstance(job.command, Start) and self.committer.full and not job.is_accepted:
            self.settle(job, full(execution))
            return
        if self.bringing.queue(execution, job) or self.collector.missed(job):
            return
        if not job.complete and is_incomplete(job.command):
            self.bringing.begin(execution, job)
        elif isinstance(job.command, RETURNS):
            self._returns.apply(job)
        elif live is not None:
            self.decide(live, job)
        elif (ended := self.executions.ended(execution)) is not None:
            self._answer_finished(ended, job)
        elif execution in self.executions.places:
            self.bringing.begin(execution, job)
        elif isinstance(job.command, Start):
            self._start(job.command, job)
        else:
            self.refuse(job, Reply(code=404, id=execution, problem=unknown(execution)))

    def _timer_due(self, moment: Moment) -> None:
        due, execution, timer = moment
        foreseen = self._foresight.take(moment)
        live = self.executions.live.get(execution)
        if live is None and execution not in self.executions.places:
            return
        if foreseen is not None and live is not None and self._comes_true(foreseen, live):
            try:
                self._fulfil(foreseen, live)
            except Exception as error:  # noqa: BLE001 - as in decide
                self._quarantine(live, error, Job(Fire(id=execution, timer=timer)))
        elif live is None or live.state is None or live.state.timers.get(timer) == due:
            self.submit(Job(Fire(id=execution, timer=timer)))

    def _comes_true(self, foreseen: Foreseen, live: Live) -> bool:
        disturbed = self.watched is not None or self.bringing.busy or self.heeding.is_needed
        return not disturbed and foreseen.holds(live, self.context.clock.now())

    def _fulfil(self, foreseen: Foreseen, live: Live) -> None:
        entry, state = foreseen.entry, foreseen.after
        if foreseen.effects:
            self.writer.add_effects(state, foreseen.effects, entry)
        live.state = state
        self._keep(live, state)
        self._add(entry, _After(live=live, failures=foreseen.failures, more=foreseen.more))

    def _start(self, start: Start, job: Job) -> None:
        if start.request in self.executions.buried:
            self.settle(job, deleted(start.id))
            return
        definitions = self.context.definitions
        ref = start.workflow
        if not ref.digest and (known := definitions.resolved(name_of(ref))) is not None:
            job.command = start = msgspec.structs.replace(start, workflow=known)
            ref = known
        workflow = definitions.cached(ref.digest)
        if workflow is None:
            self.bringing.begin(start.id, job)
            return
        begins = self.collector.begins(start, job, workflow)
        if begins is None:
            return
        tracing = self.context.settings.tracing
        job.command = start = drawn(begins, secrets=workflow.uses_secrets, tracing=tracing)
        live = Live(None, workflow, fingerprint(start.input), first=0, last=0)
        self.executions.live[start.id] = live
        self.decide(live, job)

    def decline(self, job: Job, reply: Reply) -> None:
        """Tell the parent of a child that it cannot be started."""
        start = job.command
        assert isinstance(start, Start)
        assert start.parent is not None
        detail = str((reply.problem or {}).get("detail", "it cannot be started"))
        failure = Failure(
            type=f"{BASE}configuration",
            status=reply.code,
            title="The workflow cannot be started",
            detail=f"{start.workflow}: {detail}",
        )
        report = Report(id=start.parent, task=start.parent_task, failure=failure)
        entry = Entry(events=[], inbox=job.inbox, share=job.share)
        entry.outbox.append(self.writer.letter(report, entry))
        settle = job.settle
        if settle is not None:
            entry.settled = lambda _: settle(reply)
        self.committer.add(entry)

    def spawn(self, coroutine: Any) -> None:
        """Run something beside the inputs; it ends with the owner."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_ended)

    def _spawned_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("partition %d: work beside the inputs failed", self.partition, exc_info=error)

    # -- deciding -------------------------------------------------------------------------------

    def decide(self, live: Live, job: Job) -> None:
        """Let the core decide about a command."""
        join = job.command
        if isinstance(join, Join) and self.collector.is_over(live, job, join):
            return
        if self.heeding.refuses(live, job):
            return
        command = job.command
        if live.tainted:
            self.answer_behind(job, Reply(code=200, id=command.id, status="quarantined"))
            return
        if (
            live.state is not None
            and type(command) in _EXAMINED
            and self._is_settled_already(live, command, job)
        ):
            return
        try:
            crash_point("before-decide")
            live.state, decision = decide(
                live.state,
                command,
                self.context.clock.now(),
                self.environment(live),
                live.answers,
            )
            self._note(live, live.state, decision, job)
        except Exception as error:  # noqa: BLE001 - one's poison must not stop the rest
            self._quarantine(live, error, job)

    def _quarantine(self, live: Live, error: Exception, job: Job) -> None:
        log.error("execution %s is quarantined", job.command.id, exc_info=error)
        self.setting_aside.live(live, f"{type(error).__name__}: {error}", job)

    def _is_settled_already(self, live: Live, command: Command, job: Job) -> bool:
        """Deal with commands that the core need not see."""
        assert live.state is not None
        if isinstance(command, Start):
            self._answer_started(live, command, job)
            return True
        if isinstance(command, Fire):
            due = live.state.timers.get(command.timer, 0)
            early = due > self.context.clock.now()
            if early:
                # The wall clock was put back, or the timer anew.
                self.timers.arm(command.id, command.timer, due)
                self.settle(job, None)
            return early
        if isinstance(command, Delete):
            problem = still_running(command.id)
            self.refuse(job, Reply(code=409, id=command.id, problem=problem))
            return True
        return False

    def _note(self, live: Live, state: State, decision: Decision, job: Job) -> None:
        """Put a decision into the next commit."""
        entry = Entry(events=[], inbox=job.inbox, share=job.share)
        self.writer.write(state, decision, entry)
        self.executions.groups.note(decision.events)
        if job.mailbox:
            self.watchers.add(state.id, job.mailbox)
        if decision.need is not None:
            self._evaluate(live, decision.need)
        else:
            live.answers = {}
        self._keep(live, state)
        reply = reply_to(job.command, state, decision.rejection)
        if not decision.events:
            self._note_nothing(state, job, reply)
            return
        after = _After(
            live=live,
            reply=reply,
            settle=job.settle,
            failures=self.heeding.failures(live, decision.events),
            more=decision.more and decision.need is None,
        )
        self._add(entry, after)

    def _keep(self, live: Live, state: State) -> None:
        """Note what has changed about an execution in memory."""
        self.hearing.listeners.note(live)
        live.seq = state.seq
        live.touched = self._loop.time()

    def _add(self, entry: Entry, after: _After) -> None:
        """Put the events of an execution into the next commit."""
        after.live.dirty = True
        entry.settled = partial(self._committed, after)
        self.committer.add(entry)

    def _committed(self, after: _After, sequence: int) -> None:
        """Go on after a decision that is durable now."""
        live = after.live
        live.first = live.first or sequence
        live.last = sequence
        if after.failures:
            self.heeding.count(live, after.failures)
        if after.settle is not None and after.reply is not None:
            after.settle(after.reply)
        if after.more and live.state is not None:
            self.submit(Job(Continue(id=live.state.id)))

    def _note_nothing(self, state: State, job: Job, reply: Reply) -> None:
        """Deal with a decision without events, which may be a repeat of one under way."""
        if not state.seq:
            self.settle(job, reply)
            self.executions.forget(state.id)
        elif self.committer.is_idle:
            self.settle(job, reply)
        else:
            self.answer_behind(job, reply)

    def environment(self, live: Live) -> Environment:
        """Return what decisions about an execution need to know beside its state."""
        workflow = live.workflow_of()
        environment = self._environments.get(workflow.digest)
        if environment is None:
            if len(self._environments) >= KEPT:
                self._environments.clear()
            environment = self._environments[workflow.digest] = Environment(
                workflow=workflow,
                tenant=self.context.settings.tenant,
                partition=self.partition,
                source=self.source,
                runtime=RUNTIME,
                max_event=min(MAX_EVENT, self.context.stream.max_payload - EVENT_ROOM),
            )
        return environment

    def _evaluate(self, live: Live, need: Need) -> None:
        if not live.evaluating:
            live.evaluating = True
            self.spawn(self._ask_engine(live, need))

    async def _ask_engine(self, live: Live, need: Need) -> None:
        answer = await self._answer_of_engine(need)
        live.evaluating = False
        live.answers[need.key] = answer
        assert live.state is not None
        self.submit(Job(Continue(id=live.state.id)))

    async def _answer_of_engine(self, need: Need) -> Answer:
        while True:
            try:
                return await self.context.engine.evaluate(need)
            except Exception:  # the execution waits for this answer, and nobody else would ask
                log.exception("partition %d: the expression engine failed", self.partition)
                await asyncio.sleep(RETRY_SECONDS)

    # -- answers without new events ----------------------------------------------------------------

    def answer_behind(self, job: Job, reply: Reply) -> None:
        """Answer, and count an input as consumed, once all that was decided before is durable."""
        settle = job.settle
        if settle is None and job.inbox is None and job.share is None:
            return
        entry = Entry(events=[], inbox=job.inbox, share=job.share)
        if settle is not None:
            entry.settled = lambda _: settle(reply)
        self.committer.add(entry)

    def settle(self, job: Job, reply: Reply | None) -> None:
        """An input that changes nothing: it counts as consumed, and its sender hears why."""
        if job.inbox is not None:
            self.inbox.consumed(job.inbox)
        if job.share is not None:
            job.share.settle()
        if job.settle is not None and reply is not None:
            job.settle(reply)

    def refuse(self, job: Job, reply: Reply) -> None:
        """Say no, unless another owner knows better by now."""
        self.settle(job, None)
        if job.settle is not None:
            self.spawn(self._refuse_as_owner(job.settle, reply))

    async def _refuse_as_owner(self, settle: Settle, reply: Reply) -> None:
        if await self.still_owns():
            settle(reply)

    async def still_owns(self) -> bool:
        """Tell whether nobody has taken the partition over, asking the journal."""
        try:
            last = await self.context.stream.journal.last(self.partition)
        except OutcomeUnknownError:
            return False
        epoch = str(self.committer.settings.epoch)
        owns = last is not None and last.headers.get(EPOCH_HEADER) == epoch
        if not owns:
            self.doubt()
        return owns

    def doubt(self) -> None:
        """Commit nothing at all: an owner that was replaced learns it that way, and stops."""
        self.committer.add(Entry(events=[]))

    def _answer_started(self, live: Live, start: Start, job: Job) -> None:
        """A repeated start: the same execution, once its first commit is durable."""
        assert live.state is not None
        if not same_start(live.fingerprint, live.state.workflow, start):
            self._answer_conflict(job)
            return
        if job.mailbox:
            self.watchers.add(start.id, job.mailbox)
        reply = Reply(code=200, id=start.id, status=live.state.status)
        if live.first:
            self.settle(job, reply)
            return
        self.answer_behind(job, reply)

    def _answer_finished(self, finished: Finished, job: Job) -> None:
        command = job.command
        reply = Reply(code=200, id=finished.id, status=finished.status)
        if isinstance(command, Delete):
            self.remove(finished, DELETED, job)
            return
        if isinstance(command, Start):
            if not same_start(finished.fingerprint, finished.workflow, command):
                self._answer_conflict(job)
                return
            if job.mailbox:
                self.context.post.add(job.mailbox, finished.result())
        self.settle(job, reply)

    def _answer_conflict(self, job: Job) -> None:
        reply = conflict(job.command.id)
        if is_awaited_child(job.command):
            self.decline(job, reply)
        else:
            self.settle(job, reply)

    def remove(self, finished: Finished, type_name: str, job: Job | None, **data: Any) -> None:
        """Forget an ended execution; its events stay in the journal until they are trimmed."""
        settle = job.settle if job else None
        reply = Reply(code=200, id=finished.id, status="deleted")

        def settled(_: int) -> None:
            self.leaving.discard(finished.id)
            self.executions.forget(finished.id)
            self.executions.bury(finished.request, self.context.clock.now())
            if settle is not None:
                settle(reply)

        if finished.id in self.leaving:
            self.answer_behind(job or Job(Delete(id=finished.id)), reply)
            return
        self.leaving.add(finished.id)
        data |= {"request": finished.request} if finished.request else {}
        event = self.event(finished.id, finished.workflow, finished.seq + 1, type_name, data)
        entry = Entry(events=[encode_event(event)], settled=settled)
        if job is not None:
            entry.inbox, entry.share = job.inbox, job.share
        self.committer.add(entry)

    def event(
        self, execution: str, ref: WorkflowRef, seq: int, type_name: str, data: dict[str, Any]
    ) -> CloudEvent:
        """Return an event of the engine about one of its executions."""
        return CloudEvent(
            id=f"{execution}:{seq}",
            source=self.source,
            type=type_name,
            subject=execution,
            time=timestamp(self.context.clock.now()),
            tenant=self.context.settings.tenant,
            workflow=str(ref),
            partition=self.partition,
            seq=seq,
            data=data,
        )

    # -- end -------------------------------------------------------------------------------------

    def leave_gracefully(self) -> None:
        """Say in the journal that this owner leaves in order."""
        self.aftermath.graceful = True
        self.committer.add(Entry(events=[]))

    def close(self) -> None:
        """Stop timers and background work."""
        self.heeding.close()
        self.timers.close()
        self._foresight.close()
        self.outbox.close()
        for task in list(self._tasks):
            task.cancel()
