"""Answers questions that go back into histories; one of these per tenant is enough.

It reads a history, folds it up to the wanted point with the pure core and sends the state to the
owner of the execution, as the engine's own command: clients never say what a state was.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from flunq.client import Client
from flunq.client.refusals import error_of
from flunq.core.execution.commands import Restore, Start, WorkflowRef
from flunq.core.execution.restoring import RestoreError, to_value
from flunq.core.execution.trail import WHOLE, Point
from flunq.core.ids import partition_of
from flunq.core.protocol import (
    Fork,
    ReplayQuestion,
    Reply,
    Reports,
    Retry,
    Returned,
    Rewind,
    TryFork,
    replay_subject,
    report_subject,
)
from flunq.core.statuses import ENDED
from flunq.errors import ConflictError, RejectedError, UnavailableError
from flunq.log.ports import NoResponderError, RequestTimeoutError
from flunq.services.answering import answered
from flunq.services.identity.audited import AuditedStream
from flunq.services.lasting import while_connected
from flunq.services.replaying.past import Past
from flunq.services.replaying.sandbox import try_fork
from flunq.services.sharing import Shared

if TYPE_CHECKING:
    from flunq.core.protocol import Details
    from flunq.log.ports import Requests
    from flunq.log.select import StreamSettings

PATIENCE = 20.0
"""Seconds in which an owner must take a command; a fail-over takes less."""
ANSWER_SECONDS = 2.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReplayQuestion).decode
_replies = msgspec.json.Decoder(list[Reply]).decode


class Replaying:
    """Answers for one tenant."""

    def __init__(self, client: Client, requests: Requests) -> None:
        self._client = client
        self._requests = requests
        self._running: Shared[Returned] = Shared()

    async def answer(self, payload: bytes) -> bytes:
        """Answer one encoded question; never raises for what somebody asked."""
        return await answered(payload, _decode, self._value)

    async def _value(self, question: ReplayQuestion) -> Any:
        if isinstance(question, TryFork):
            return await try_fork(self._client, question)
        return await self._running.result(question.request, partial(self._return, question))

    async def _return(self, question: Retry | Rewind | Fork) -> Returned:
        past = Past(self._client, question.id)
        details = await self._client.get(question.id)
        await past.look()
        if question.request in past.requests:
            return Returned(id=question.id, point=past.trail.last)
        if isinstance(question, Fork):
            return await self._fork(question, past, details)
        return await self._restore(question, past, details)

    # -- the same execution ------------------------------------------------------------------------

    async def _restore(self, question: Retry | Rewind, past: Past, details: Details) -> Returned:
        _require_still(question, details.status)
        point = _point(question, past)
        moment = await past.moment(point.seq)
        edited = question.input if isinstance(question, Retry) else UNSET
        if edited is not UNSET and not point.task and point.seq != WHOLE:
            raise RejectedError("no task failed whose input could be edited")
        command = Restore(
            id=question.id,
            kind="retried" if isinstance(question, Retry) else "rewound",
            workflow=_ref_of(details),
            state=await self._client.slim(to_value(moment.state)),
            at=moment.at,
            point=point.seq,
            seq=past.trail.last,
            attempt=past.trail.attempt + 1,
            redo=point.redo,
            task=point.task,
            input=edited,
            reason=question.reason,
            request=question.request,
        )
        await self._send(command)
        return Returned(id=question.id, point=point.seq, task=point.task)

    # -- another execution -------------------------------------------------------------------------

    async def _fork(self, question: Fork, past: Past, details: Details) -> Returned:
        ref = await wanted_version(self._client, details, question.version)
        if question.at == WHOLE:
            given = details.input if question.input is UNSET else question.input
            origin = (await past.moment(WHOLE)).state
            start = Start(
                id=question.new_id,
                workflow=ref,
                input=given if given is question.input else await self._client.slim(given),
                tags=details.tags,
                request=question.request,
                forked_from=question.id,
                priority=origin.priority,
            )
            await self._send(start)
            return Returned(id=question.new_id, point=WHOLE)
        point = _checked_point(past, question.at)
        moment = await past.moment(point.seq)
        command = Restore(
            id=question.new_id,
            kind="forked",
            workflow=ref,
            state=await self._client.slim(to_value(moment.state)),
            at=moment.at,
            point=point.seq,
            input=question.input,
            origin=question.id,
            reason=question.reason,
            request=question.request,
        )
        await self._send(command)
        return Returned(id=question.new_id, point=point.seq)

    # -- the owner ---------------------------------------------------------------------------------

    async def _send(self, command: Restore | Start) -> None:
        """Return once the owner has a command durably; it knows repeats."""
        number = partition_of(command.id, (await self._client.info()).partitions)
        subject = report_subject(self._client.tenant, number)
        body = _encode(Reports(reports=[command]))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            try:
                answer = await self._requests.request(subject, body, timeout=ANSWER_SECONDS)
            except NoResponderError:
                await asyncio.sleep(0.1)
            except RequestTimeoutError:
                pass
            else:
                (reply,) = _replies(answer)
                if reply.problem is not None:
                    raise error_of(reply.problem)
                return
            if loop.time() > deadline:
                raise UnavailableError(
                    "the owner of the execution does not answer; it may still take effect",
                    hint="look with: flunq status",
                )


def _require_still(question: Retry | Rewind, status: str) -> None:
    if isinstance(question, Retry):
        if status not in ENDED:
            raise ConflictError(
                f"execution {question.id} is {status}; only what has ended is tried again",
                hint=f"see what it waits for: flunq why {question.id}",
            )
        if status == "completed":
            raise ConflictError(
                f"execution {question.id} is completed",
                hint=f"start another one like it: flunq fork {question.id}",
            )
    elif status not in ENDED and status != "suspended":
        raise ConflictError(
            f"execution {question.id} is {status}",
            hint=f"suspend it first: flunq suspend {question.id}",
        )


def _point(question: Retry | Rewind, past: Past) -> Point:
    if isinstance(question, Rewind):
        return _checked_point(past, question.at)
    try:
        return past.trail.before_failure()
    except RestoreError as error:
        raise ConflictError(f"execution {question.id}: {error}") from None


def _checked_point(past: Past, seq: int) -> Point:
    try:
        return past.trail.at(seq)
    except RestoreError as error:
        raise RejectedError(str(error)) from None


def _ref_of(details: Details) -> WorkflowRef:
    return WorkflowRef(
        namespace=details.namespace,
        name=details.workflow,
        version=details.version,
        digest=details.digest,
    )


async def wanted_version(client: Client, details: Details, version: str) -> WorkflowRef:
    """Return the definition of an execution, in another version if one is named."""
    if not version:
        return _ref_of(details)
    name = f"{details.namespace}/{details.workflow}:{version}"
    found = (await client.workflow(name)).definition
    return WorkflowRef(
        namespace=found.namespace, name=found.name, version=found.version, digest=found.digest
    )


async def run_replaying(connection: StreamSettings, stop: asyncio.Event) -> None:
    """Answer until told to stop; raises ConnectionError when the connection is lost."""
    stream = AuditedStream(connection)
    async with Client(stream, tenant=connection.tenant) as client:
        replaying = Replaying(client, stream.requests)
        async with client.serving(replay_subject(connection.tenant), replaying.answer):
            await while_connected(stream, stop.wait())
