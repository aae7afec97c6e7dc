"""The executions that schedules start: starting them, cancelling them, hearing that they ended."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.client.sender import CommandSender
from flunq.core.ids import partition_of
from flunq.core.protocol import Answer, ListPage, Results, Summary, Watch, ask_subject
from flunq.errors import UnavailableError
from flunq.log.ports import NoResponderError, OutcomeUnknownError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flunq.core.execution.commands import Cancel, Start
    from flunq.core.protocol import Reply
    from flunq.log.ports import EventStream

log = logging.getLogger(__name__)

PATIENCE = 30.0
SOON, LATER = 1.0, 20.0
"""Seconds after which an owner is asked again for ends that it should have pushed."""
ANSWER_SECONDS = 2.0
AGAIN = (202, 503)
"""Not decided yet, no room: the same command is sent once more."""


class _Watched:
    """Somebody who waits for an end."""

    __slots__ = ("ask_at", "ended", "pause")

    def __init__(self, ended: Callable[[str], None]) -> None:
        self.ended = ended
        self.ask_at = 0.0
        self.pause = SOON

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to ask, and plan the next time."""
        if self.ask_at > now:
            return False
        self.ask_at = now + self.pause
        self.pause = min(self.pause * 1.5, LATER)
        return True


class Runs:
    """Talks to the owners of executions. Use it with ``async with``."""

    def __init__(self, stream: EventStream, tenant: str, partitions: int) -> None:
        self._stream = stream
        self._tenant = tenant
        self._partitions = partitions
        self._mailbox = stream.requests.mailbox()
        self._sender = CommandSender(stream, tenant, None)
        self._wanted: dict[str, _Watched] = {}
        self._news = asyncio.Event()

    async def send(self, command: Start | Cancel) -> Reply:
        """Send a command until its owner has answered, however long that takes."""
        number = partition_of(command.id, self._partitions)
        delay = 0.05
        while True:
            try:
                reply = await self._sender.send(number, command, PATIENCE)
            except (UnavailableError, OutcomeUnknownError, StoreFullError) as error:
                log.info("%s waits for an owner: %s", command.id, error)
            else:
                if reply.code not in AGAIN:
                    return reply
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    def watch(self, execution: str, ended: Callable[[str], None]) -> None:
        """Call ``ended`` once the execution is over."""
        if execution not in self._wanted:
            self._wanted[execution] = _Watched(ended)
            self._news.set()

    async def run(self) -> None:
        """Listen for ends; ask for those that nobody told, at growing intervals."""
        loop = asyncio.get_running_loop()
        async with self._stream.requests.listen(self._mailbox, self._receive):
            while True:
                soonest = min((each.ask_at for each in self._wanted.values()), default=None)
                try:
                    async with asyncio.timeout_at(soonest):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()
                now = loop.time()
                asked = [name for name, each in self._wanted.items() if each.is_due(now)]
                await self._ask_for(asked)

    async def aclose(self) -> None:
        """Stop sending."""
        await self._sender.aclose()

    async def ended_at(self, execution: str) -> int | None:
        """Return when an execution ended, None if nobody can say."""
        question = ListPage(limit=1, prefix=execution)
        found = await self._ask(partition_of(execution, self._partitions), question)
        for summary in [] if found is None else msgspec.json.decode(found, type=list[Summary]):
            if summary.id == execution:
                return summary.ended_at
        return None

    def _receive(self, body: bytes) -> None:
        for result in msgspec.json.decode(body, type=Results).results:
            self._tell(result.id)

    def _tell(self, execution: str) -> None:
        watched = self._wanted.pop(execution, None)
        if watched is not None:
            watched.ended(execution)

    async def _ask_for(self, executions: Iterable[str]) -> None:
        by_partition: dict[int, list[str]] = {}
        for execution in executions:
            if execution in self._wanted:
                number = partition_of(execution, self._partitions)
                by_partition.setdefault(number, []).append(execution)
        for number, ids in by_partition.items():
            body = await self._ask(number, Watch(ids=ids, mailbox=self._mailbox))
            if body is None:
                # Its partition has no owner now, and is asked again.
                continue
            found = msgspec.json.decode(body, type=Results)
            for execution in (*(result.id for result in found.results), *found.missing):
                self._tell(execution)

    async def _ask(self, number: int, question: Any) -> bytes | None:
        subject = ask_subject(self._tenant, number)
        payload = msgspec.json.encode(question)
        try:
            body = await self._stream.requests.request(subject, payload, timeout=ANSWER_SECONDS)
        except (NoResponderError, OutcomeUnknownError):
            return None
        answer = msgspec.json.decode(body, type=Answer)
        return None if answer.problem is not None else bytes(answer.value)
