"""Commands that cannot be applied yet: their execution, or what they name, is fetched first."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from flunq.core.claims import is_reference
from flunq.core.execution.commands import Start
from flunq.core.protocol import Reply
from flunq.errors import FlunqError
from flunq.services.worker.claims import resolve_input
from flunq.services.worker.jobs import is_awaited_child, name_of
from flunq.services.worker.packs import StaleCheckpointError
from flunq.services.worker.patience import patiently
from flunq.services.worker.returning import RETURNS, completed

if TYPE_CHECKING:
    from flunq.services.worker.jobs import Job
    from flunq.services.worker.owner import Owner

log = logging.getLogger(__name__)

SERVER_ERROR = 500
RETRY_SECONDS = 1.0


class Bringing:
    """Fetches for one owner; commands of the same execution wait and keep their order."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loading: dict[str, list[Job]] = {}

    @property
    def busy(self) -> bool:
        """Whether any command waits for what is fetched."""
        return bool(self._loading)

    def queue(self, execution: str, job: Job) -> bool:
        """Let a command wait behind others of its execution; False if there are none."""
        waiting = self._loading.get(execution)
        if waiting is not None:
            waiting.append(job)
        return waiting is not None

    def begin(self, execution: str, job: Job) -> None:
        """Fetch what a command needs, then apply it and what came after it."""
        self._loading[execution] = [job]
        self._owner.spawn(self._load_and_apply(execution))

    async def prepare(self, job: Job) -> None:
        """Fetch what a command needs, so that :meth:`Owner.submit` applies it at once."""
        command = job.command
        try:
            if command.id in self._owner.executions.places:
                await self._owner.load(command.id)
            await self._prepare(job)
        except FlunqError as error:
            log.info("%s meets its error again when it is applied: %s", command.id, error)

    async def _load_and_apply(self, execution: str) -> None:
        problems: dict[int, FlunqError] = {}
        try:
            await self._bring_in(execution, problems)
        except StaleCheckpointError:
            # Whoever sent them hears nothing, and asks the new owner.
            del self._loading[execution]
            self._owner.doubt()
            return
        for position, job in enumerate(self._loading.pop(execution)):
            if position in problems:
                self._give_up(job, problems[position])
            else:
                self._owner.apply(job)

    async def _bring_in(self, execution: str, problems: dict[int, FlunqError]) -> None:
        """Load an execution, and what the starts of it name; note whose jobs have no prospects."""
        jobs = self._loading[execution]
        try:
            await patiently(lambda: self._owner.load(execution))
        except FlunqError as error:
            problems |= dict.fromkeys(range(len(jobs)), error)
            return
        for position, job in enumerate(jobs):
            try:
                await self._prepare(job)
            except FlunqError as error:
                problems[position] = error

    async def _prepare(self, job: Job) -> None:
        command = job.command
        if isinstance(command, Start):
            job.command, job.complete = await patiently(lambda: self._complete(command)), True
        elif isinstance(command, RETURNS):
            context = self._owner.context
            job.command = await patiently(lambda: completed(context, command))
            job.complete = True

    async def _complete(self, start: Start) -> Start:
        """Fill in what a start leaves to the engine: the definition's digest, a large input."""
        context = self._owner.context
        ref = start.workflow
        value = start.input
        if not self._owner.executions.knows(start.id):
            if not ref.digest:
                ref = await context.definitions.resolve(name_of(ref))
            await context.definitions.get(ref.digest)
        if is_reference(value):
            value = await resolve_input(value, context.database.blobs)
        return msgspec.structs.replace(start, workflow=ref, input=value)

    def _give_up(self, job: Job, problem: FlunqError) -> None:
        """Nothing can be done with a command: tell whoever waits for it."""
        reply = Reply(code=problem.status, id=job.command.id, problem=problem.problem())
        if not is_awaited_child(job.command):
            self._owner.settle(job, reply)
        elif problem.status >= SERVER_ERROR:
            self._owner.spawn(self._try_again(job))
        else:
            self._owner.decline(job, reply)

    async def _try_again(self, job: Job) -> None:
        """Nobody would repeat the start of a child that could not be looked into."""
        await asyncio.sleep(RETRY_SECONDS)
        self._owner.submit(job)
