"""Commands on their way to owners: while one request is under way the next one fills."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.execution.commands import Start
from flunq.core.protocol import ELSEWHERE, MAX_MESSAGE, Commands, Reply, start_subject
from flunq.errors import UnavailableError
from flunq.log.ports import (
    EventStream,
    NoResponderError,
    NotPermittedError,
    OutcomeUnknownError,
    RequestTimeoutError,
    StoreFullError,
    TransportLostError,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from flunq.core.execution.commands import Command

ANSWER_SECONDS = 2.0
"""After this long without an answer a command also goes to the durable inbox."""
FLIGHTS = 4
"""Requests to one partition that may be under way at the same time."""

_encode = msgspec.json.Encoder().encode
_replies = msgspec.json.Decoder(list[Reply]).decode


class _Waiting:
    __slots__ = ("answer", "body", "command")

    def __init__(self, command: Command, answer: asyncio.Future[Reply]) -> None:
        self.command = command
        self.body = _encode(command)
        self.answer = answer


class CommandSender:
    """Sends commands, many per message, and falls back to the inbox when no owner answers."""

    def __init__(self, stream: EventStream, tenant: str, mailbox: str | None) -> None:
        self._stream = stream
        self._tenant = tenant
        self._mailbox = _encode(mailbox)
        self._queues: dict[int, deque[_Waiting]] = {}
        self._flights: dict[int, list[list[_Waiting]]] = {}
        """What is under way to a partition."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, partition: int, command: Command, timeout: float) -> Reply:  # noqa: ASYNC109 - it is the API's word
        """Send a command; returns the owner's answer, or ``pending`` once it is in the inbox."""
        reply = await self._send(partition, command, timeout)
        if reply.code == ELSEWHERE and reply.partition is not None and isinstance(command, Start):
            command = msgspec.structs.replace(command, partition=reply.partition)
            reply = await self._send(reply.partition, command, timeout)
        return reply

    async def _send(self, partition: int, command: Command, timeout: float) -> Reply:  # noqa: ASYNC109 - it is the API's word
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        waiting = _Waiting(command, answer)
        queue = self._queues.setdefault(partition, deque())
        queue.append(waiting)
        if len(queue) == 1:
            loop.call_soon(self._take_off, partition)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise UnavailableError(
                "no engine node answered in time; the command may still take effect",
                hint="repeat it with the same --id, or look with: flunq status",
                id=command.id,
            ) from None

    async def aclose(self) -> None:
        """Stop sending."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def repeat(self, partition: int) -> None:
        """Send a new owner what the last one may have taken along."""
        for load in self._flights.get(partition, ()):
            self._spawn(self._fly_again(partition, load))

    def _spawn(self, flight: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(flight)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take_off(self, partition: int) -> None:
        queue = self._queues[partition]
        flights = self._flights.setdefault(partition, [])
        while queue and len(flights) < FLIGHTS:
            load: list[_Waiting] = []
            size = 0
            while queue and (not load or size + len(queue[0].body) < MAX_MESSAGE // 2):
                waiting = queue.popleft()
                size += len(waiting.body)
                load.append(waiting)
            flights.append(load)
            self._spawn(self._fly(partition, load))

    async def _fly(self, partition: int, load: list[_Waiting]) -> None:
        try:
            replies = await self._answers(partition, load)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            for waiting in load:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        finally:
            self._land(partition, load)
        _answer(load, replies)

    async def _fly_again(self, partition: int, load: list[_Waiting]) -> None:
        # The first flight goes on, and knows what to do without an answer.
        with suppress(NoResponderError, RequestTimeoutError, TransportLostError, NotPermittedError):
            _answer(load, await self._request(partition, load))
            self._land(partition, load)

    def _land(self, partition: int, load: list[_Waiting]) -> None:
        """Make room for the next flight, once."""
        flights = self._flights[partition]
        if load in flights:
            flights.remove(load)
            self._take_off(partition)

    async def _answers(self, partition: int, load: list[_Waiting]) -> list[Reply]:
        try:
            return await self._request(partition, load)
        except (NoResponderError, RequestTimeoutError):
            return await self._through_inbox(partition, load)

    async def _request(self, partition: int, load: list[_Waiting]) -> list[Reply]:
        commands = b",".join(waiting.body for waiting in load)
        payload = b'{"mailbox":' + self._mailbox + b',"commands":[' + commands + b"]}"
        subject = start_subject(self._tenant, partition)
        body = await self._stream.requests.request(
            subject, payload, timeout=ANSWER_SECONDS, repeatable=True
        )
        return _replies(body)

    async def _through_inbox(self, partition: int, load: list[_Waiting]) -> list[Reply]:
        """Store commands durably and go on asking meanwhile; they are idempotent.

        Storing may wait for a broker that elects a leader, for longer than an owner needs.
        """
        storing = asyncio.create_task(self._store_all(partition, load))
        asking = asyncio.create_task(self._ask_on(partition, load))
        try:
            await asyncio.wait([storing, asking], return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                storing.result()
            return await asking
        finally:
            storing.cancel()
            asking.cancel()
            await asyncio.gather(storing, asking, return_exceptions=True)

    async def _ask_on(self, partition: int, load: list[_Waiting]) -> list[Reply]:
        while any(not waiting.answer.done() for waiting in load):
            try:
                return await self._request(partition, load)
            except NoResponderError:
                await asyncio.sleep(0.05)
            except RequestTimeoutError:
                continue
        return [Reply(code=202, id=waiting.command.id, status="pending") for waiting in load]

    async def _store_all(self, partition: int, load: list[_Waiting]) -> None:
        for waiting in load:
            await self._store(partition, waiting)

    async def _store(self, partition: int, waiting: _Waiting) -> None:
        command = waiting.command
        kind, request = type(command).__name__, getattr(command, "request", "")
        place = getattr(command, "partition", None)
        message_id = f"{kind}:{command.id}:{request}" + (f"@{place}" if place is not None else "")
        while not waiting.answer.done():
            try:
                await self._stream.inbox.publish(
                    partition,
                    b"[" + waiting.body + b"]",
                    message_id=message_id,
                    external=True,
                )
            except OutcomeUnknownError:
                await asyncio.sleep(0.1)
            except StoreFullError:
                return  # an owner may still take it, or say what is the matter
            else:
                return


def _answer(load: list[_Waiting], replies: list[Reply]) -> None:
    for waiting, reply in zip(load, replies, strict=True):
        if not waiting.answer.done():
            waiting.answer.set_result(reply)


def commands_request(commands: list[Command], mailbox: str | None = None) -> bytes:
    """Return the payload of a request with commands."""
    return _encode(Commands(commands=commands, mailbox=mailbox))
