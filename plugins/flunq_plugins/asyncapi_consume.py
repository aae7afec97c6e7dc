"""Subscriptions: which messages count, and when there are enough."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.sdk import durations
from flunq.sdk.executor import JSON, TaskError
from flunq.sdk.expressions import compile_expression, holds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flunq.sdk.context import TaskContext
    from flunq_plugins.asyncapi_message import Codec, Inbound
    from flunq_plugins.asyncapi_sessions import Session

_SMALL = 16 * 1024
"""Messages up to this many bytes are read on the loop."""
_BATCH = 256 * 1024
"""Bytes of messages that are handed over at once, or one message."""
_OVERHEAD = 64
"""What each message counts for besides its bytes."""


class Selection:
    """Reads messages and tells which of them count."""

    def __init__(self, arguments: dict[str, Any], codec: Codec, context: TaskContext) -> None:
        self._variables = _object(arguments.get("variables"))
        texts = _object(arguments.get("expressions"))
        self._programs = {name: compile_expression(str(text)) for name, text in texts.items()}
        self._codec = codec
        self._context = context

    async def read(self, inbound: Inbound) -> dict[str, JSON] | None:
        """Return a message, None if the filter does not let it pass."""
        # A flood of messages that do not count must not keep the loop for itself.
        await asyncio.sleep(0)
        if len(inbound.body) > _SMALL:
            message = await asyncio.to_thread(self._codec.decode, inbound)
        else:
            message = self._codec.decode(inbound)
        return message if await self.holds("filter", message, absent=True) else None

    async def holds(self, name: str, value: JSON, *, absent: bool) -> bool:
        """Tell whether a condition of the subscription is true, ``absent`` if it has none."""
        program = self._programs.get(name)
        if program is None:
            return absent
        return await holds(program, value, self._variables, self._context)


class Consumption:
    """Consumes the messages of one subscription."""

    def __init__(self, arguments: dict[str, Any], selection: Selection, limit: int) -> None:
        consume = _object(_object(arguments.get("subscription")).get("consume"))
        self._amount = _amount(consume.get("amount"))
        length = consume.get("for")
        self._seconds = None if length is None else durations.seconds(length, "consume.for")
        self._selection = selection
        self._limit = limit
        self._consumed: list[JSON] = []
        self._size = 0

    async def run(self, source: AsyncIterator[Inbound]) -> list[JSON]:
        """Return the messages that were consumed when there are enough, or the time is over."""
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                while not await self._has_enough():
                    await self._take(await anext(source))
        except TimeoutError:
            if not limit.expired():
                raise
        return self._consumed

    async def _has_enough(self) -> bool:
        """Look at what was consumed; ``while`` counts from the first message on."""
        if self._amount is not None:
            return len(self._consumed) >= self._amount
        if await self._selection.holds("until", self._consumed, absent=False):
            return True
        if not self._consumed:
            return False
        return not await self._selection.holds("while", self._consumed, absent=True)

    async def _take(self, inbound: Inbound) -> None:
        message = await self._selection.read(inbound)
        if message is None:
            return
        self._size += size_of(inbound)
        if self._size > self._limit:
            detail = f"the messages are larger than {self._limit} bytes"
            raise TaskError("communication", 502, "The messages are too large", detail)
        self._consumed.append(message)


class Gathering:
    """Takes what there is for one turn of a ``foreach``: a message, and those that wait already."""

    def __init__(self, arguments: dict[str, Any], selection: Selection) -> None:
        batch = arguments["batch"]
        self._limit: int = batch["limit"]
        self._ends: int | None = batch.get("ends")
        self._selection = selection
        self._is_last = batch.get("last") is True

    def finishes(self, messages: list[JSON]) -> bool:
        """Tell whether nothing more will be asked for after these messages."""
        return not messages or (self._is_last and len(messages) >= self._limit)

    async def run(self, session: Session) -> list[JSON]:
        """Return the messages, none when the time is over."""
        messages: list[JSON] = []
        size = 0
        seconds = None if self._ends is None else self._ends / 1_000_000 - time.time()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                while len(messages) < self._limit and size < _BATCH:
                    if messages and not session.has_message:
                        break
                    inbound = await session.next()
                    message = await self._selection.read(inbound)
                    if message is not None:
                        messages.append(message)
                        size += size_of(inbound)
        except TimeoutError:
            if not limit.expired():
                raise
        return messages


def size_of(inbound: Inbound) -> int:
    """Return what a message counts for."""
    return len(inbound.body) + len(msgspec.json.encode(inbound.headers)) + _OVERHEAD


def _amount(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        detail = "consume.amount must be a whole number"
        raise TaskError("validation", 400, "Not a valid AsyncAPI call", detail)
    return value


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
