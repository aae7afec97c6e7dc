"""What many ask for at the same time is done once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from flunq.sdk.executor import TaskError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")


class Once:
    """Work in flight, by key; it goes on when one of those who wait for it gives up."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, asyncio.Task[Any]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]], limit: float) -> T:
        """Return the outcome of the work for a key, which takes ``limit`` seconds at most."""
        task = self._flying.get(key)
        if task is None:
            task = self._flying[key] = asyncio.create_task(_outcome(work, limit))
            task.add_done_callback(lambda _: self._flying.pop(key, None))
        outcome = await asyncio.shield(task)
        if isinstance(outcome, TaskError):
            # Each waiter raises an error of its own: tracebacks grow with every raise.
            raise TaskError(outcome.type, outcome.status, outcome.title, outcome.detail)
        result: T = outcome
        return result

    def close(self) -> None:
        """Stop all of it."""
        for task in list(self._flying.values()):
            task.cancel()


async def _outcome(work: Callable[[], Awaitable[T]], limit: float) -> T | TaskError:
    """Return an error instead of raising it: perhaps nobody is left to take notice."""
    try:
        async with asyncio.timeout(limit):
            return await work()
    except TaskError as error:
        return error
    except TimeoutError:
        detail = f"there was no complete response within {limit:g} s"
        return TaskError("communication", 504, detail=detail)
