"""Results on their way to mailboxes: what ends in one turn of the loop travels together."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from flunq.core.claims import is_reference, reference_to
from flunq.core.protocol import MAX_MESSAGE, Result, Results
from flunq.log.ports import MessageTooLargeError, OutcomeUnknownError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from flunq.log.ports import Requests

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class Post:
    """Collects results per mailbox and sends one notice each."""

    def __init__(
        self, requests: Requests, store_blob: Callable[[str, bytes], Coroutine[Any, Any, None]]
    ) -> None:
        self._requests = requests
        self._store_blob = store_blob
        self._letters: dict[str, list[Result]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def add(self, mailbox: str, result: Result) -> None:
        """Send a result with the next notice to a mailbox."""
        if not self._letters:
            task = asyncio.get_running_loop().create_task(self._send())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        self._letters.setdefault(mailbox, []).append(result)

    async def _send(self) -> None:
        letters, self._letters = self._letters, {}
        for mailbox, results in letters.items():
            try:
                async for body in self._parts(results):
                    await self._requests.notify(mailbox, body)
            except (OutcomeUnknownError, StoreFullError, MessageTooLargeError) as error:
                # Whoever waits asks again from time to time.
                log.warning("%d results did not get to their mailbox: %s", len(results), error)

    async def _parts(self, results: list[Result]) -> AsyncIterator[bytes]:
        body = _encode(Results(results=results))
        alike = any(is_reference(result.output) for result in results)
        if len(body) <= MAX_MESSAGE and not alike:
            yield body
        elif len(results) > 1:
            half = len(results) // 2
            for part in (results[:half], results[half:]):
                async for piece in self._parts(part):
                    yield piece
        else:
            yield _encode(Results(results=[await self.slim(results[0])]))

    async def slim(self, result: Result) -> Result:
        """Replace an output, large or like a reference, by one that the receiver can fetch."""
        return msgspec.structs.replace(result, output=await self.stored(result.output))

    async def stored(self, value: Any) -> dict[str, Any]:
        """Store a value as a blob; return the reference to it."""
        body = _encode(value)
        key, reference = reference_to(body)
        await self._store_blob(key, body)
        return reference
