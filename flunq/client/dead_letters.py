"""The dead letters of a tenant, as a client sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from flunq.core.letters import (
    DropLetter,
    Letter,
    LetterPage,
    ListLetters,
    LookAround,
    RetryLetter,
    Returned,
    ShowLetter,
    Surroundings,
    letters_subject,
)
from flunq.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")
Letters: TypeAlias = list[Letter]
Ask: TypeAlias = Callable[[str, Any], Awaitable[bytes]]


class DeadLetters:
    """``client.dead_letters``: what could not be worked on, and why."""

    def __init__(self, ask: Ask, tenant: str) -> None:
        self._ask = ask
        self._tenant = tenant

    async def list(self, *, limit: int = 0, execution: str = "", origin: str = "") -> Letters:
        """Return letters, newest first, at most ``limit`` (0: all), without their bodies."""
        newest: deque[Letter] = deque(maxlen=limit or None)
        async for letter in self._all(execution, origin):
            newest.append(letter)
        return list(reversed(newest))

    async def show(self, id: str) -> Letter:
        """Return one letter with its body."""
        return await self._value(ShowLetter(id=id), Letter)

    async def retry(self, id: str, body: str | None = None) -> Returned:
        """Put a letter back where it came from, with another body if one is given.

        Raises ConflictError when nobody waits for it any more.
        """
        return await self._value(RetryLetter(id=id, body=body), Returned)

    async def drop(self, id: str) -> Letter:
        """Forget a letter; returns it."""
        return await self._value(DropLetter(id=id), Letter)

    async def look_around(self, events: int = 0) -> Surroundings:
        """Return which nodes live, and the newest events of the bus."""
        return await self._value(LookAround(events=events), Surroundings)

    async def _all(self, execution: str, origin: str) -> AsyncIterator[Letter]:
        after: int | None = 0
        while after is not None:
            question = ListLetters(after=after, execution=execution, origin=origin)
            page = await self._value(question, LetterPage)
            for letter in page.letters:
                yield letter
            after = page.after

    async def _value(self, question: Any, kind: type[T]) -> T:
        try:
            body = await self._ask(letters_subject(self._tenant), question)
        except UnavailableError as error:
            raise UnavailableError(
                f"nobody keeps the dead letters of tenant {self._tenant}",
                hint="it is part of flunq up; elsewhere start one with: flunq serve control",
            ) from error
        return msgspec.json.decode(body, type=kind)
