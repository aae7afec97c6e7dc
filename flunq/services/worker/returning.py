"""Retry, rewind, fork and migrate at the owner: which execution it is, and its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flunq.core.claims import is_reference
from flunq.core.execution.commands import Migrate, Restore
from flunq.core.protocol import Reply
from flunq.services.worker.claims import resolve_input
from flunq.services.worker.executions import Live
from flunq.services.worker.fingerprint import fingerprint
from flunq.services.worker.jobs import conflict, ending, name_of, unknown
from flunq.services.worker.records import revived

if TYPE_CHECKING:
    from flunq.core.document.model import Workflow
    from flunq.services.worker.context import WorkerContext
    from flunq.services.worker.jobs import Job
    from flunq.services.worker.owner import Owner

RETURNS = (Restore, Migrate)
"""Commands that bring the definition along by which an execution goes on."""


async def completed(context: WorkerContext, command: Restore | Migrate) -> Restore | Migrate:
    """Fill in what a command leaves to the engine: the definition, large values."""
    definitions, blobs = context.definitions, context.database.blobs
    ref = command.workflow
    if not ref.digest:
        ref = await definitions.resolve(name_of(ref))
    await definitions.get(ref.digest)
    if isinstance(command, Migrate):
        return msgspec.structs.replace(command, workflow=ref)
    state, edited = command.state, command.input
    if is_reference(state):
        state = await resolve_input(state, blobs)
    if is_reference(edited):
        edited = await resolve_input(edited, blobs)
    return msgspec.structs.replace(command, workflow=ref, state=state, input=edited)


class Returns:
    """Applies such commands for one owner."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def apply(self, job: Job) -> None:
        """Apply a command that is complete."""
        command = job.command
        assert isinstance(command, RETURNS)
        executions = self._owner.executions
        live, record = executions.live.get(command.id), executions.record(command.id)
        workflow = self._owner.context.definitions.cached(command.workflow.digest)
        if workflow is None:  # many others were fetched since
            self._owner.bringing.begin(command.id, job)
        elif isinstance(command, Restore) and command.kind == "forked":
            self._fork(job, command, workflow)
        elif live is not None:
            self._steer(job, live, workflow)
        elif record is None:
            reply = Reply(code=404, id=command.id, problem=unknown(command.id))
            self._owner.refuse(job, reply)
        elif command.id in self._owner.leaving:
            self._owner.answer_behind(job, ending(command.id))
        else:
            self._revive(job, revived(*record), workflow)

    def _fork(self, job: Job, command: Restore, workflow: Workflow) -> None:
        executions = self._owner.executions
        live, ended = executions.live.get(command.id), executions.ended(command.id)
        known = live.state if live is not None else ended
        if known is None:
            value = fingerprint(command.state.get("input"))
            live = executions.live[command.id] = Live(None, workflow, value, first=0, last=0)
            self._owner.decide(live, job)
        elif known.request == command.request:
            reply = Reply(code=200, id=command.id, status=known.status)
            self._owner.answer_behind(job, reply)
        else:
            self._owner.settle(job, conflict(command.id))

    def _steer(self, job: Job, live: Live, workflow: Workflow) -> None:
        """Let one that is open go on otherwise."""
        state = live.state
        if state is None or state.is_terminal:
            self._owner.answer_behind(job, ending(job.command.id))
            return
        before, live.workflow = live.workflow, workflow
        self._owner.decide(live, job)
        if live.state is None or live.state.workflow.digest != workflow.digest:
            live.workflow = before
        elif not live.tainted:
            # Its listeners may have other filters now.
            self._owner.hearing.listeners.forget(job.command.id)
            self._owner.hearing.listeners.note(live)

    def _revive(self, job: Job, live: Live, workflow: Workflow) -> None:
        live.workflow = workflow
        seq = live.seq
        self._owner.decide(live, job)
        if live.seq > seq:
            self._owner.executions.revive(job.command.id, live)
