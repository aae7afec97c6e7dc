"""Going back to the past of an execution, as a client asks for it."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET

from flunq.client.ids import new_id as draw_id
from flunq.client.presence import ask_when_there
from flunq.client.refusals import value_of
from flunq.core.ids import is_valid_id
from flunq.core.protocol import (
    Fork,
    ReplayQuestion,
    Retry,
    Returned,
    Rewind,
    Tried,
    TryFork,
    replay_subject,
)
from flunq.errors import NotFoundError, RejectedError, UnavailableError, UsageError
from flunq.log.ports import NoResponderError, RequestTimeoutError

if TYPE_CHECKING:
    from flunq.client.client import Client
    from flunq.client.mailbox import Mailbox
    from flunq.client.values import Values
    from flunq.core.protocol import Details
    from flunq.log.ports import Requests

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds that reading a long history may take."""
ANSWER_SECONDS = 10.0


class Control:
    """``client.control``: each question is asked until it is answered, and has its effect once."""

    def __init__(
        self, client: Client, requests: Requests, values: Values, mailbox: Mailbox
    ) -> None:
        self._client = client
        self._requests = requests
        self._values = values
        self._mailbox = mailbox

    async def retry(self, execution: str, *, input: Any = UNSET, reason: str = "") -> Details:
        """Let an execution go on from where it failed."""
        given = await self._slim(input)
        return await self._go(Retry(id=execution, request=token_hex(8), input=given, reason=reason))

    async def rewind(self, execution: str, *, at: int, reason: str = "") -> Details:
        """Take an execution back to right after an event."""
        return await self._go(Rewind(id=execution, request=token_hex(8), at=at, reason=reason))

    async def fork(
        self,
        execution: str,
        *,
        at: int | None = None,
        input: Any = UNSET,
        version: str | None = None,
        new_id: str | None = None,
        reason: str = "",
    ) -> Details:
        """Start another execution from a point of this one's past."""
        name = draw_id() if new_id is None else new_id
        if not is_valid_id(name):
            raise UsageError(
                f"'{name}' cannot be an execution id",
                hint="use 1 to 128 letters, digits, '_', '.' or '-'",
            )
        question = Fork(
            id=execution,
            request=token_hex(8),
            new_id=name,
            at=at or 0,
            input=await self._slim(input),
            version=version or "",
            reason=reason,
        )
        return await self._go(question)

    async def point(self, execution: str, wanted: str) -> int:
        """Return the event that ``wanted`` names: its number, or a task that is about to begin.

        Raises NotFoundError, and RejectedError if it may be several tasks.
        """
        if wanted.isdecimal():
            return int(wanted)
        from flunq.core.execution.trail import NAMING, Trail  # it brings the whole fold

        trail = Trail()
        async for event in self._client.history(execution):
            if event.type in NAMING:
                trail.take(event.type, event.seq, event.value())
        found = {
            name: seq
            for name, seq in trail.began.items()
            if wanted in (name, name.rsplit("/", 1)[-1])
        }
        if not found:
            raise NotFoundError(
                f"execution {execution} has begun no task {wanted}",
                hint=f"see its tasks: flunq history {execution}",
            )
        if len(found) > 1 and wanted not in found:
            raise RejectedError(f"{wanted} may be any of {', '.join(sorted(found))}")
        return found.get(wanted, max(found.values()))

    async def try_fork(
        self,
        execution: str,
        *,
        at: int | None = None,
        input: Any = UNSET,
        version: str | None = None,
    ) -> Tried:
        """Tell what a fork would do; nothing is started, effects answer from the record."""
        given = await self._slim(input)
        question = TryFork(id=execution, at=at or 0, input=given, version=version or "")
        return await self._ask(question, Tried)

    async def _slim(self, value: Any) -> Any:
        return value if value is UNSET else await self._values.slim(value)

    async def _go(self, question: Retry | Rewind | Fork) -> Details:
        await self._client.info()
        returned = await self._ask(question, Returned)
        self._mailbox.forget(returned.id)
        return await self._client.get(returned.id)

    async def _ask(self, question: ReplayQuestion, kind: type[T]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        subject, payload = replay_subject(self._client.tenant), msgspec.json.encode(question)
        while True:
            try:
                body = await ask_when_there(
                    self._requests, subject, payload, timeout=ANSWER_SECONDS
                )
            except NoResponderError:
                raise _nobody() from None
            except RequestTimeoutError:
                # A copy of a question that is being dealt with waits for the same answer.
                if loop.time() > deadline:
                    raise _nobody() from None
            else:
                return msgspec.json.decode(value_of(body), type=kind)


def _nobody() -> UnavailableError:
    return UnavailableError(
        "no control process goes back into histories here",
        hint="it is part of flunq up; elsewhere start one with: flunq serve control",
    )
