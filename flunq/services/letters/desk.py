"""Answers about dead letters: shows them, puts them back where they came from, forgets them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.commands import Cancel, Command, Delete, Resume, Start, Suspend
from flunq.core.ids import partition_of
from flunq.core.letters import (
    DropLetter,
    Letter,
    LetterPage,
    LetterQuestion,
    ListLetters,
    LiveNode,
    LookAround,
    RetryLetter,
    Returned,
    Surroundings,
    read_letter,
)
from flunq.core.protocol import MAX_MESSAGE
from flunq.errors import ConflictError, NotFoundError, RejectedError
from flunq.services.answering import answered
from flunq.services.assignment import NodeLease
from flunq.services.wire import claim_in, decode_commands, decode_dispatch, decode_event

if TYPE_CHECKING:
    from flunq.client import Client
    from flunq.core.execution.effects import Dispatch
    from flunq.core.protocol import Details
    from flunq.log.ports import Database, EventStream, Record

PAGE = 200
MOST_RETURNED = 256
MOST_EVENTS = 500
EVENT_BYTES = 32 * 1024
"""Data of an event with more bytes than this are left out when events are shown."""
READ_SECONDS = 2.0
USED_UP = "try"
"""The kind of a letter about a task whose retries are used up: there is nothing to queue."""
_CLIENTS = (Start, Cancel, Suspend, Resume, Delete)
_encode = msgspec.json.Encoder().encode
_question = msgspec.json.Decoder(LetterQuestion).decode
_lease = msgspec.json.Decoder(NodeLease).decode


class Desk:
    """Keeps the dead letters of one tenant."""

    def __init__(self, client: Client, stream: EventStream, database: Database) -> None:
        self._client = client
        self._stream = stream
        self._database = database
        self._turn = asyncio.Lock()
        self._returned: dict[str, Returned] = {}
        """What was put back of late: a question may be asked twice."""

    async def answer(self, payload: bytes) -> bytes:
        """Answer one encoded question; never raises for what somebody asked."""
        return await answered(payload, _question, self._value)

    async def _value(self, question: LetterQuestion) -> Any:
        if isinstance(question, ListLetters):
            return await self._list(question)
        if isinstance(question, LookAround):
            return await self._look_around(question.events)
        if isinstance(question, RetryLetter):
            async with self._turn:
                return await self._retry_once(question)
        letter = await self._find(question.id)
        if isinstance(question, DropLetter):
            await self._stream.dead_letters.drop(int(letter.id))
        return letter

    # -- looking -----------------------------------------------------------------------------------

    async def _list(self, question: ListLetters) -> LetterPage:
        records = await self._stream.dead_letters.page(after=question.after, limit=PAGE)
        found: list[Letter] = []
        size, after = 0, question.after
        for record in records:
            letter = _readable(record)
            size += len(letter.reason) + 600
            if found and size > MAX_MESSAGE:
                break
            after = record.seq
            if _is_meant(letter, question):
                found.append(msgspec.structs.replace(letter, body=None))
        return LetterPage(letters=found, after=after if records else None)

    async def _find(self, number: str) -> Letter:
        record = await self._stream.dead_letters.get(int(number)) if number.isdecimal() else None
        if record is None:
            raise NotFoundError(f"no dead letter {number}", hint="list them with: flunq dlq list")
        return _readable(record)

    async def _look_around(self, events: int) -> Surroundings:
        leases = await self._database.leases.live()
        nodes = [_node(name, _lease(value)) for name, value in sorted(leases.items())]
        return Surroundings(nodes=nodes, events=await self._newest(min(events, MOST_EVENTS)))

    async def _newest(self, count: int) -> list[dict[str, Any]]:
        """Return the newest events of the bus, as many as one answer holds."""
        bus = self._stream.bus
        newest = await bus.last_seq() if count else 0
        found: list[dict[str, Any]] = []
        if not newest:
            return found
        try:
            async with asyncio.timeout(READ_SECONDS):
                async for record in bus.follow(after=max(0, newest - count)):
                    found.append(_event(record))
                    if record.seq >= newest:
                        break
        except TimeoutError:
            pass  # the newest of them were removed meanwhile: nothing else will come
        return _fitting(found)

    # -- putting back ------------------------------------------------------------------------------

    async def _retry_once(self, question: RetryLetter) -> Returned:
        done = self._returned.get(question.id)
        if done is None:
            letter = await self._find(question.id)
            done = self._returned[question.id] = await self._retry(letter, question.body)
            for oldest in list(self._returned)[:-MOST_RETURNED]:
                del self._returned[oldest]
        return done

    async def _retry(self, letter: Letter, body: str | None) -> Returned:
        if letter.truncated and body is None:
            hint = f"give the whole of it: flunq dlq edit {letter.id}"
            raise ConflictError(f"letter {letter.id} keeps only a part of it", hint=hint)
        content = (letter.body if body is None else body) or ""
        returned = await _WAYS[letter.origin](self, letter, content.encode())
        await self._stream.dead_letters.drop(int(letter.id))
        return returned

    async def _return_task(self, letter: Letter, body: bytes) -> Returned:
        if letter.kind == USED_UP:
            raise _gone_on(await self._client.get(letter.execution), letter.task)
        dispatch = await self._dispatch_in(letter, body)
        details = await self._client.get(dispatch.execution)
        _require_open(details, dispatch)
        name = f"{dispatch.task} letter {letter.id}"
        await self._stream.tasks.publish(dispatch.kind, dispatch.execution, body, message_id=name)
        detail = f"task {dispatch.reference} of {dispatch.execution} is queued again"
        return Returned(id=letter.id, outcome="queued", detail=detail)

    async def _dispatch_in(self, letter: Letter, body: bytes) -> Dispatch:
        key = claim_in(body)
        content = body if key is None else await self._database.blobs.get(key)
        if content is None:
            raise ConflictError(f"the body of letter {letter.id} is gone")
        try:
            return decode_dispatch(content)
        except msgspec.DecodeError as error:
            raise _unreadable(letter, error) from None

    async def _return_input(self, letter: Letter, body: bytes) -> Returned:
        try:
            commands = decode_commands(body)
        except msgspec.DecodeError as error:
            raise _unreadable(letter, error) from None
        external = bool(letter.place.get("external", True))
        partitions = (await self._client.info()).partitions
        number = _one_partition(letter, commands, partitions, external=external)
        name = f"letter {letter.id}"
        await self._stream.inbox.publish(number, body, message_id=name, external=external)
        detail = f"the input is in the inbox of partition {number} again"
        return Returned(id=letter.id, outcome="delivered", detail=detail)

    async def _return_event(self, letter: Letter, body: bytes) -> Returned:
        try:
            event = decode_event(body)
        except msgspec.DecodeError as error:
            raise _unreadable(letter, error) from None
        [sequence] = await self._client.emit([event])
        detail = f"the event is on the bus again, as number {sequence}"
        return Returned(id=letter.id, outcome="published", detail=detail)

    async def _return_execution(self, letter: Letter, body: bytes) -> Returned:
        raise ConflictError(
            f"execution {letter.execution} was set aside: what it was told made the engine fail",
            hint=f"look at it with: flunq why {letter.execution}, then start it under another id",
        )


_WAYS = {
    "task": Desk._return_task,
    "input": Desk._return_input,
    "event": Desk._return_event,
    "execution": Desk._return_execution,
}


def _readable(record: Record) -> Letter:
    """Return a letter; what is none is shown as it is, for somebody wrote it there."""
    try:
        return read_letter(record.seq, record.data)
    except msgspec.MsgspecError as error:
        return Letter(
            id=str(record.seq),
            time="",
            origin="input",
            reason=f"the letter itself cannot be read: {error}",
            body=record.data.decode(errors="replace"),
            size=len(record.data),
        )


def _is_meant(letter: Letter, question: ListLetters) -> bool:
    if question.execution and letter.execution != question.execution:
        return False
    return not question.origin or letter.origin == question.origin


def _unreadable(letter: Letter, error: object) -> RejectedError:
    return RejectedError(
        f"the body of letter {letter.id} cannot be read: {error}",
        hint=f"correct it with: flunq dlq edit {letter.id}",
    )


def _require_open(details: Details, dispatch: Dispatch) -> None:
    """Refuse a task that nobody waits for any more."""
    open_tasks = [each.get("id") for each in details.waiting]
    if details.ended_at is not None or dispatch.task not in open_tasks:
        raise _gone_on(details, dispatch.reference)


def _gone_on(details: Details, task: str) -> ConflictError:
    """Return the error for a task that nobody waits for any more."""
    if details.ended_at is None:
        return ConflictError(
            f"execution {details.id} has gone on without this attempt of {task}",
            hint=f"see what it waits for: flunq why {details.id}",
        )
    again = f"flunq retry {details.id}"
    return ConflictError(
        f"execution {details.id} is {details.status} already: nobody waits for this task",
        hint=f"see why with: flunq why {details.id}"
        if details.status == "completed"
        else f"let it go on from there with: {again}",
    )


def _one_partition(
    letter: Letter, commands: list[Command], partitions: int, *, external: bool
) -> int:
    """Return where commands belong; they were one message, and have to be one again."""
    if external and not all(isinstance(command, _CLIENTS) for command in commands):
        raise RejectedError("only starts and control commands may be put back here")
    numbers = {partition_of(command.id, partitions) for command in commands}
    if len(numbers) != 1:
        raise RejectedError(
            "the commands of one input are for executions of one partition",
            hint=f"leave one command in it: flunq dlq edit {letter.id}",
        )
    return numbers.pop()


def _node(name: str, lease: NodeLease) -> LiveNode:
    return LiveNode(
        name=name,
        incarnation=lease.incarnation,
        kinds=tuple(lease.kinds),
        capacity=lease.capacity,
        leaving=lease.leaving,
    )


def _event(record: Record) -> dict[str, Any]:
    try:
        event = decode_event(record.data)
    except msgspec.MsgspecError:
        return {"type": "", "unreadable": True}
    if len(record.data) > EVENT_BYTES:
        event = {key: value for key, value in event.items() if key != "data"}
    return event


def _fitting(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest events that one answer holds, oldest first."""
    kept: list[dict[str, Any]] = []
    size = 0
    for event in reversed(events):
        size += len(_encode(event))
        if size > MAX_MESSAGE // 2:
            break
        kept.append(event)
    return kept[::-1]
